"""When work is recorded and when it is replayed, with a stand-in for CuPy."""

import importlib
import sys
import types

import pytest


class FakeCuda:
    """The part of CuPy that records work: what was run is in ``done``."""

    def __init__(self, fault=None):
        self.done = []
        self.recording = None
        self.current = None
        cuda = self

        class Graph:
            def __init__(self, work):
                self.work = work

            def upload(self):
                assert cuda.current is not None

            def launch(self):
                assert cuda.current is not None and cuda.recording is None
                cuda.done += self.work

        class Stream:
            def __enter__(self):
                cuda.current = self

            def __exit__(self, *args):
                cuda.current = None

            def synchronize(self):
                assert cuda.recording is None

            def begin_capture(self):
                if fault == 'begin':
                    raise RuntimeError('not permitted\nmore')
                cuda.recording = []

            def end_capture(self):
                work, cuda.recording = cuda.recording, None
                if fault == 'end':
                    raise RuntimeError('invalidated\nmore')
                return Graph(work)

        class MemoryPool:
            malloc = None

        class using_allocator(Stream):
            def __init__(self, malloc):
                pass

            def __exit__(self, *args):
                pass

        self.cuda = types.SimpleNamespace(
            Stream=Stream, MemoryPool=MemoryPool,
            using_allocator=using_allocator)

    def launch(self, what):
        assert self.current is not None
        (self.done if self.recording is None else self.recording).append(what)


@pytest.fixture
def make(monkeypatch):
    def make(record, fault=None):
        fake = FakeCuda(fault)
        calls = []

        def work():
            calls.append(fake.recording is not None)
            if fault == 'work' and calls[-1]:
                raise RuntimeError('no such thing\nmore')
            fake.launch(len(calls))

        monkeypatch.setitem(sys.modules, 'cupy', fake)
        monkeypatch.delitem(sys.modules, 'ram.fast.cuda_graph', False)
        graph = importlib.import_module('ram.fast.cuda_graph')
        monkeypatch.delitem(sys.modules, 'ram.fast.cuda_graph')
        return graph.CudaGraphRunner(work, record), fake, calls

    return make


def test_runner_records_after_a_warm_up_and_then_replays(make, capsys):
    runner, fake, calls = make(True)
    for n in range(1, 7):
        runner()
        assert len(fake.done) == n  # one run each time
        # The capture follows the last warm-up at once.
        assert calls == [False, False, True][:n + (n > 1)]
    assert fake.done == [1, 2, 3, 3, 3, 3]
    assert not capsys.readouterr().err


def test_runner_without_recording_launches_each_time(make):
    runner, fake, calls = make(False)
    for _ in range(5):
        runner()
    assert calls == [False] * 5 and fake.done == [1, 2, 3, 4, 5]


@pytest.mark.parametrize('fault', ['begin', 'work', 'end'])
def test_runner_reports_a_failed_capture_once(make, capsys, fault):
    runner, fake, calls = make(True, fault)
    for n in range(1, 6):
        runner()
        assert len(fake.done) == n
    message = capsys.readouterr().err
    assert message.count('\n') == 1 and 'CUDA graph' in message
    assert {'begin': 'not permitted', 'work': 'no such thing',
            'end': 'invalidated'}[fault] in message
