"""Files that are complete or absent."""

import io
import os
import stat
import subprocess
import sys
import zipfile

import numpy
import pytest

from ram.commands.arguments import check_outputs
from ram.errors import RamError
from ram.files import make_folder, read_npz, replacing, sweep


def test_replacing_keeps_the_old_file_after_an_error(tmp_path):
    path = tmp_path / 'x.txt'
    path.write_text('old')
    with pytest.raises(KeyError):
        with replacing(str(path), 'w') as file:
            file.write('half of the ne')
            raise KeyError
    assert path.read_text() == 'old' and os.listdir(tmp_path) == ['x.txt']
    with replacing(str(path), 'w') as file:
        file.write('new')
        file.flush()
        assert path.read_text() == 'old'  # until the block ends
    assert path.read_text() == 'new' and os.listdir(tmp_path) == ['x.txt']


def test_replacing_gives_the_usual_permissions(tmp_path):
    path = tmp_path / 'x'
    umask = os.umask(0o027)
    try:
        with replacing(str(path)) as file:
            file.write(b'x')
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_replacing_follows_links_and_writes_to_pipes(tmp_path):
    os.symlink('target', tmp_path / 'link')
    with replacing(str(tmp_path / 'link'), 'w') as file:
        file.write('\u00fc')
    assert (tmp_path / 'target').read_bytes() == b'\xc3\xbc'
    assert os.path.islink(tmp_path / 'link')
    os.mkfifo(tmp_path / 'pipe')
    with open(os.open(tmp_path / 'pipe', os.O_RDONLY | os.O_NONBLOCK),
              'rb') as pipe:
        with replacing(str(tmp_path / 'pipe')) as file:
            file.write(b'x')
        assert pipe.read() == b'x'
    assert stat.S_ISFIFO(os.stat(tmp_path / 'pipe').st_mode)


def test_two_outputs_may_go_to_stdout(tmp_path):
    # pytest has made stdout a file.
    check_outputs(['/dev/stdout', '/dev/stdout'], [])
    with pytest.raises(RamError, match='written by another option'):
        check_outputs([str(tmp_path / 'x'), str(tmp_path / 'x')], [])


def test_a_file_that_stdout_leads_to_keeps_what_it_holds(tmp_path):
    path = tmp_path / 'all'
    path.write_text('before\n')
    code = ('from ram.files import replacing\nprint(1)\n'
            'with replacing("/dev/stdout", "w") as file:\n'
            '    file.write("2\\n")\nprint(3)')
    with open(path, 'a') as file:
        subprocess.run([sys.executable, '-c', code], stdout=file, check=True)
    assert path.read_text() == 'before\n1\n2\n3\n'


def test_replacing_names_what_cannot_be_written(tmp_path):
    (tmp_path / 'file').write_text('')
    for path in (tmp_path / 'none' / 'x', tmp_path / 'file' / 'x', tmp_path):
        with pytest.raises(RamError, match='cannot be written'):
            with replacing(str(path)) as file:
                file.write(b'x')
    assert os.listdir(tmp_path) == ['file']


def test_sweep_removes_only_what_a_killed_process_left(tmp_path):
    for name in ('.x.npz.abc.part', '.hidden', 'x.part'):
        (tmp_path / name).write_text('')
    sweep(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == ['.hidden', 'x.part']


def test_make_folder_makes_parents_and_refuses_files(tmp_path):
    make_folder(str(tmp_path / 'a' / 'b'))
    make_folder(str(tmp_path / 'a' / 'b'))
    assert os.listdir(tmp_path / 'a' / 'b') == []
    (tmp_path / 'file').write_text('')
    with pytest.raises(RamError, match='name another folder'):
        make_folder(str(tmp_path / 'file'))


def test_read_npz_reads_arrays(tmp_path):
    arrays = {'a': numpy.arange(6).reshape(2, 3), 'b': numpy.array('text')}
    numpy.savez(tmp_path / 'x.npz', **arrays)
    found = read_npz(str(tmp_path / 'x.npz'), 'use another one')
    assert found.keys() == arrays.keys()
    for name in arrays:
        numpy.testing.assert_array_equal(found[name], arrays[name])


def test_read_npz_unpickles_nothing(tmp_path):
    numpy.savez(tmp_path / 'x.npz', a=numpy.array([{}], object))
    with pytest.raises(RamError, match='allow_pickle'):
        read_npz(str(tmp_path / 'x.npz'), 'use another one')
    numpy.save(tmp_path / 'y.npy', numpy.zeros(3))
    with pytest.raises(RamError, match='an .npy file, not an .npz'):
        read_npz(str(tmp_path / 'y.npy'), 'use another one')


def test_read_npz_names_file_and_remedy(tmp_path):
    (tmp_path / 'text.npz').write_text('text')
    for name, words in (('none.npz', 'no such file'),
                        ('', 'cannot be read: Is a directory'),
                        ('text.npz', 'damaged, or not a valid .npz file')):
        with pytest.raises(RamError) as caught:
            read_npz(str(tmp_path / name), 'use another one')
        problem, = caught.value.problems
        assert problem.startswith(f'{tmp_path / name}'), problem
        assert f': {words}' in problem
        assert problem.endswith('; use another one')


def test_read_npz_refuses_what_would_fill_the_memory(tmp_path):
    content = io.BytesIO()
    numpy.save(content, numpy.zeros(2 ** 24))
    with zipfile.ZipFile(tmp_path / 'x.npz', 'w',
                         zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('a.npy', content.getvalue())
    with pytest.raises(RamError,
                       match='would inflate from .*; use another one'):
        read_npz(str(tmp_path / 'x.npz'), 'use another one')
