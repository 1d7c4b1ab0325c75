"""Work that repeats, recorded once as a CUDA graph."""

import sys
from typing import Callable

import cupy

_WARM_UP = 2  # runs before the capture: kernels are compiled, pools fill


class CudaGraphRunner:
    """Runs work on a stream of its own, later as a CUDA graph.

    What the work allocates and frees comes from a pool of its own, so a
    replay writes to the same memory as the run that was recorded. The stream
    and CUDA's default stream wait for each other.

    Args:
        work: Launches kernels, always the same on the same arrays, without
            waiting for the GPU.
        record: Whether to record it; else its kernels are launched one by one
            each time.

    """

    def __init__(self, work: Callable[[], None], record: bool):
        self._work = work
        self._record = record
        self._runs = 0
        self._graph = None
        self._stream = cupy.cuda.Stream()
        self._pool = cupy.cuda.MemoryPool()

    def __call__(self) -> None:
        """Runs the work once; does not wait for it."""
        with cupy.cuda.using_allocator(self._pool.malloc), self._stream:
            if self._graph is None:
                self._work()
            else:
                self._graph.launch()
            self._runs += 1
            if self._record and self._runs == _WARM_UP:
                # At once, before other work sets cuBLAS to its own stream.
                self._graph = self._capture()

    def _capture(self):
        """The work as a graph, not yet run; None if it cannot be recorded."""
        stream = self._stream
        stream.synchronize()  # earlier errors are not the capture's
        try:
            stream.begin_capture()
            try:
                self._work()
            finally:
                graph = stream.end_capture()
            graph.upload()
            return graph
        except Exception as error:  # CuPy raises many kinds
            reason = str(error).strip().split('\n')[0]
            print('ram: an iteration cannot be recorded as a CUDA graph '
                  f'({reason}); its kernels are launched one by one',
                  file=sys.stderr)
            return None
