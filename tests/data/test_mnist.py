import glob
import gzip
import hashlib
import http.server
import os
import struct
import subprocess
import sys
import threading
import time

import numpy
import pytest

from ram.commands.main import main
from ram.data import mnist
from ram.errors import RamError


def idx(array):
    return (bytes([0, 0, 8, array.ndim])
            + struct.pack(f'>{array.ndim}I', *array.shape) + array.tobytes())


@pytest.fixture
def contents():
    """Small files in MNIST's form, by name."""
    rng = numpy.random.default_rng(0)
    return {
        'train-images-idx3-ubyte': idx(
            rng.integers(256, size=(30, 5, 4)).astype('uint8')),
        'train-labels-idx1-ubyte': idx(
            rng.integers(10, size=30).astype('uint8')),
        't10k-images-idx3-ubyte': idx(
            rng.integers(256, size=(20, 5, 4)).astype('uint8')),
        't10k-labels-idx1-ubyte': idx(
            rng.integers(10, size=20).astype('uint8'))}


@pytest.fixture
def small_mnist(contents, monkeypatch):
    """Makes those files be MNIST."""
    monkeypatch.setattr(mnist, 'FILES', tuple(
        source._replace(sha256=hashlib.sha256(contents[source.name])
                        .hexdigest()) for source in mnist.FILES))
    monkeypatch.setattr(mnist, 'TIMEOUT', 0.5)


class Mirror:
    """A local server that answers by the kind of trouble."""

    def __init__(self, contents, trouble=None):
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler):
                name = handler.path.rpartition('/')[2]
                self.asked.append(name)
                body = gzip.compress(contents[name[:-3]])
                length = len(body)
                if isinstance(trouble, int):
                    handler.send_error(trouble)
                    return
                if trouble == 'html':
                    body = b'<html>come back later</html>'
                    length = len(body)
                elif trouble == 'truncated':
                    body = body[:-10]
                elif trouble == 'altered':
                    raw = bytearray(contents[name[:-3]])
                    raw[-1] ^= 1
                    body = gzip.compress(bytes(raw))
                    length = len(body)
                elif trouble == 'slow':
                    time.sleep(1.5)
                elif trouble == 'endless':
                    length = None
                    body = body + b'\0' * 10 ** 6
                handler.send_response(200)
                if length is not None:
                    handler.send_header('Content-Length', str(length))
                handler.end_headers()
                try:
                    handler.wfile.write(body)
                except ConnectionError:
                    handler.close_connection = True

            def log_message(handler, *args):
                return None

        self.server = http.server.ThreadingHTTPServer(
            ('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.server.server_port}/mnist/'
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()


@pytest.fixture
def mirror(contents):
    made = []

    def make(trouble=None):
        made.append(Mirror(contents, trouble))
        return made[-1]

    yield make
    for each in made:
        each.server.shutdown()
        each.server.server_close()


def write(folder, contents, form='{}', pack=lambda content: content):
    os.makedirs(folder, exist_ok=True)
    for name, content in contents.items():
        path = os.path.join(folder, form.format(name))
        with open(path, 'wb') as file:
            file.write(pack(content))


@pytest.mark.parametrize('form, pack', [
    ('{}', bytes), ('{}.gz', gzip.compress)])
def test_finds_packed_and_unpacked_files(
        tmp_path, contents, small_mnist, form, pack):
    write(tmp_path / 'mnist', contents, form, pack)
    (train_images, _), (_, test_labels) = mnist.load('mnist', str(tmp_path))
    assert train_images.shape == (30, 5, 4)
    assert test_labels.shape == (20,)
    assert train_images.tobytes() == contents['train-images-idx3-ubyte'][16:]


def test_finds_dotted_names(tmp_path, contents, small_mnist):
    write(tmp_path / 'mnist', {name.replace('-idx', '.idx'): content
                               for name, content in contents.items()})
    assert len(mnist.load('mnist', str(tmp_path))[1][1]) == 20


def test_where_the_root_comes_from(monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', '/cache')
    monkeypatch.delenv('RAM_DATA_ROOT', raising=False)
    assert mnist.data_root() == '/cache/ram-chainer'
    monkeypatch.setenv('RAM_DATA_ROOT', '/env')
    assert mnist.data_root() == '/env'
    assert mnist.data_root('/flag') == '/flag'


def test_a_data_root_is_remembered(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('XDG_CONFIG_HOME', str(tmp_path / 'config'))
    monkeypatch.setenv('XDG_CACHE_HOME', '/cache')
    monkeypatch.delenv('RAM_DATA_ROOT', raising=False)
    monkeypatch.setattr(mnist, 'fetch', lambda name, root: ['a file'])
    monkeypatch.chdir(tmp_path)
    assert main(['data', 'fetch', '--data-root', 'here', '--remember']) == 0
    written = tmp_path / 'config' / 'ram-chainer' / 'data-root'
    assert f'written: {written}' in capsys.readouterr().out
    assert mnist.data_root() == str(tmp_path / 'here')
    monkeypatch.setenv('RAM_DATA_ROOT', '/env')
    assert mnist.data_root() == '/env'
    monkeypatch.delenv('RAM_DATA_ROOT')
    written.write_bytes(b'\xff\xfe\xff')
    with pytest.raises(RamError) as caught:
        mnist.data_root()
    assert f'{written}: cannot be read' in str(caught.value)


def test_altered_mnist_is_named_and_not_used(tmp_path, contents, small_mnist):
    name = 't10k-labels-idx1-ubyte'
    contents[name] = contents[name][:-1] + b'\x07'
    write(tmp_path / 'mnist', contents)
    with pytest.raises(RamError, match=f'{name}: is not MNIST'):
        mnist.load('mnist', str(tmp_path))


def test_another_set_needs_no_hash_but_must_agree(tmp_path, contents):
    folder = tmp_path / 'fashion'
    write(folder, contents)
    assert len(mnist.load('fashion', str(tmp_path))[0][1]) == 30
    write(folder, {'train-labels-idx1-ubyte': idx(numpy.zeros(29, 'uint8'))})
    with pytest.raises(RamError, match='29 labels for 30 images'):
        mnist.load('fashion', str(tmp_path))
    write(folder, dict(contents, **{
        't10k-images-idx3-ubyte': idx(numpy.zeros((20, 5, 5), 'uint8'))}))
    with pytest.raises(RamError, match='train on are'):
        mnist.load('fashion', str(tmp_path))


def test_another_set_is_not_downloaded(tmp_path, contents):
    del contents['t10k-images-idx3-ubyte']
    write(tmp_path / 'kmnist', contents)
    with pytest.raises(RamError) as caught:
        mnist.load('kmnist', str(tmp_path))
    assert 'lacks t10k-images-idx3-ubyte' in str(caught.value)
    assert 'data.name to mnist, synthetic, folder, npz or catch' in str(
        caught.value)
    assert '--data-root' in str(caught.value)


def test_downloads_what_is_missing(
        tmp_path, contents, small_mnist, mirror, monkeypatch):
    server = mirror()
    monkeypatch.setattr(mnist, 'MIRRORS', (server.url,))
    first = contents.pop('train-images-idx3-ubyte')
    write(tmp_path / 'mnist', contents)
    contents['train-images-idx3-ubyte'] = first
    assert len(mnist.load('mnist', str(tmp_path))[0][0]) == 30
    assert server.asked == ['train-images-idx3-ubyte.gz']
    mnist.load('mnist', str(tmp_path))
    assert len(server.asked) == 1


@pytest.mark.parametrize('trouble, words', [
    (403, '403'), (404, '404'), (500, '500'), ('html', 'not MNIST'),
    ('truncated', ''), ('altered', 'SHA-256'), ('slow', 'timed out'),
    ('endless', 'sends more')])
def test_a_bad_mirror_is_told_and_the_next_one_asked(
        tmp_path, small_mnist, mirror, monkeypatch, trouble, words):
    if trouble == 'endless':
        monkeypatch.setattr(mnist, 'MNIST_LIMIT', 10 ** 5)
    bad, good = mirror(trouble), mirror()
    monkeypatch.setattr(mnist, 'MIRRORS', (bad.url,))
    folder = tmp_path / 'mnist'
    with pytest.raises(RamError) as caught:
        mnist.fetch('mnist', str(tmp_path))
    problem, = caught.value.problems
    assert bad.url in problem and words in problem
    assert str(folder) in problem and '--data-root' in problem
    assert os.listdir(folder) == []
    monkeypatch.setattr(mnist, 'MIRRORS', (bad.url, good.url))
    paths = mnist.fetch('mnist', str(tmp_path))
    assert sorted(os.listdir(folder)) == sorted(
        os.path.basename(path) for path in paths)
    assert len(mnist.load('mnist', str(tmp_path))[1][1]) == 20


def test_offline_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, 'MIRRORS', ('http://127.0.0.1:9/',))
    with pytest.raises(RamError) as caught:
        mnist.load('mnist', str(tmp_path))
    problem, = caught.value.problems
    assert '\n' not in problem and 'RAM_DATA_ROOT' in problem


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    blocked = tmp_path / 'file'
    blocked.write_text('')
    with pytest.raises(RamError, match='cannot be written'):
        mnist.load('mnist', str(blocked))


def test_two_processes_fetch_at_once(tmp_path, contents, small_mnist, mirror):
    server = mirror()
    script = (
        'import ram, sys\nfrom ram.data import mnist\n'
        f'mnist.MIRRORS = ({server.url!r},)\n'
        'mnist.FILES = tuple(mnist.Source(*s) for s in '
        f'{[tuple(s) for s in mnist.FILES]!r})\n'
        f'print(len(mnist.load("mnist", {str(tmp_path)!r})[1][1]))\n')
    running = [subprocess.Popen([sys.executable, '-c', script],
                                stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL)
               for _ in range(2)]
    assert [p.communicate(timeout=60)[0].strip() for p in running] == [
        b'20', b'20']
    assert len(os.listdir(tmp_path / 'mnist')) == 4


@pytest.mark.skipif(
    not glob.glob(os.path.join(mnist.data_root(), 'mnist', 't10k-labels*')),
    reason='no MNIST at RAM_DATA_ROOT')
def test_real_mnist():
    (train_images, _), (_, test_labels) = mnist.load()
    assert train_images.shape == (60000, 28, 28)
    assert numpy.bincount(test_labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
