"""The page holds all that it shows, and plays it."""

import base64
import html.parser
import io
import json
import re
import shutil
import subprocess

import numpy
import pytest
from PIL import Image

from ram.evaluation.evaluate import Trajectory
from ram.visualizations import save_inspection, sheet
from ram.visualizations.trajectories.boxes import patch_boxes

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')


def trajectory(seed, classes=4, channels=1):
    rng = numpy.random.default_rng(seed)
    return Trajectory(
        rng.random((channels, 40, 30), 'float32'),
        rng.random((3, 2, channels, 5, 5), 'float32'),
        rng.uniform(-1, 1, (3, 2)).astype('float32'),
        rng.dirichlet(numpy.ones(classes), 3).astype('float32'), seed % 4)


@pytest.fixture(scope='module')
def saved(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp('page')
    examples = [('first', 0, trajectory(0)), ('first', 1, trajectory(1)),
                ('hardest', 7, trajectory(2)), ('oddest', 9, trajectory(3))]
    files = save_inspection(
        str(folder), made(), examples, [5, 10],
        {'checkpoint': 'a\udcff</script><b>.npz', 'split': 'test'})
    return folder, files, examples


class Reader(html.parser.HTMLParser):
    """All tags, and the data."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.content, self._within = [], '', False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._within = dict(attrs).get('id') == 'data'

    def handle_endtag(self, tag):
        self._within = False

    def handle_data(self, data):
        if self._within:
            self.content += data


def pixels(uri):
    kind, _, content = uri.partition(',')
    assert kind == 'data:image/png;base64'
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        return numpy.array(image.convert('RGB'))


def test_report_loads_nothing(saved):
    folder, files, _ = saved
    page = (folder / 'index.html').read_text('utf-8')
    assert 'http:' not in page and 'https:' not in page
    assert '@import' not in page and 'url(' not in page
    assert '<!-- ' not in page  # every part is filled in
    reader = Reader(page)
    for tag, attrs in reader.tags:
        for name in ('src', 'href', 'srcset', 'data', 'action'):
            assert attrs.get(name, 'data:').startswith('data:'), (tag, name)
    assert page.count('</script>') == page.count('<script')
    # A byte of a path that is no text is shown as a question mark.
    assert '<b>' not in page and 'a?&lt;/script&gt;&lt;b&gt;.npz' in page
    # Each picture in the folder is on the page.
    on_page = {attrs['src'] for tag, attrs in reader.tags if tag == 'img'}
    for name in (path for path in files if path.endswith('.png')):
        with open(name, 'rb') as file:
            content = base64.b64encode(file.read()).decode()
        assert 'data:image/png;base64,' + content in on_page


def test_report_plays_the_given_trajectories(saved):
    folder, _, examples = saved
    reader = Reader((folder / 'index.html').read_text('utf-8'))
    played = json.loads(reader.content)['examples']
    assert [(p['kind'], p['index']) for p in played] == [
        (kind, index) for kind, index, _ in examples]
    for data, (_, _, seen) in zip(played, examples):
        numpy.testing.assert_array_equal(pixels(data['image']),
                                         sheet.picture(seen.image))
        retina = pixels(data['retina'])
        for t in range(3):
            for j in range(2):
                numpy.testing.assert_array_equal(
                    retina[5 * j:5 * j + 5, 5 * t:5 * t + 5],
                    sheet.picture(seen.retina[t, j]))
            assert data['boxes'][t] == [list(box) for box in patch_boxes(
                seen.locations[t], (40, 30), [5, 10])]
            assert data['points'][t] == pytest.approx(
                (seen.locations[t] + 1) / 2 * (30, 40), abs=1e-3)
        assert data['label'] == seen.label and data['classes'] == [0, 1, 2, 3]
        assert data['guesses'] == seen.probabilities.argmax(axis=1).tolist()
        numpy.testing.assert_allclose(data['shares'], seen.probabilities,
                                      atol=1e-4)


def test_report_table_has_the_numbers(saved):
    folder, files, _ = saved
    assert files[:2] == [str(folder / 'index.html'),
                         str(folder / 'inspect.json')]
    values = json.loads((folder / 'inspect.json').read_text())
    assert values['checkpoint'] == 'a\udcff</script><b>.npz'
    assert values['n'] == 60
    page = (folder / 'index.html').read_text('utf-8')
    rows = [re.findall('<t[hd]>(.*?)</t[hd]>', row)
            for row in re.findall('<tr>(.*?)</tr>', page)]
    assert [len(row) for row in rows] == [4, 4, 4, 4]
    assert rows[1][1:] == [f'{100 - e:.2f}' for e in values['error_by_glimpse']]
    assert rows[3][1:] == ['50.0'] * 3


def test_report_limits_classes_and_shows_colours(made, tmp_path):
    seen = trajectory(5, classes=25, channels=3)
    save_inspection(str(tmp_path), made(classes=25, canvas=False),
                    [('first', 0, seen)], [5, 10],
                    {'checkpoint': 'a.npz', 'split': 'test'},
                    [f'class {k} </script>' for k in range(25)])
    reader = Reader((tmp_path / 'index.html').read_text('utf-8'))
    data = json.loads(reader.content)
    assert data['names'][7] == 'class 7 </s\u2026'
    example, = data['examples']
    numpy.testing.assert_array_equal(pixels(example['image']),
                                     sheet.picture(seen.image))
    assert 10 <= len(example['classes']) <= 11
    assert seen.label in example['classes']
    assert set(example['guesses']) <= set(range(25))


PLAYED = '''
const said = [];
addEventListener('error', event => said.push(event.message));
const note = () => said.push(at('said').textContent);
const press = key => document.body.dispatchEvent(
  new KeyboardEvent('keydown', { key, bubbles: true }));
note(); at('forth').click(); note(); press('ArrowRight'); note();
press('ArrowRight'); note(); at('back').click(); note();
press('n'); said.push(at('where').textContent);
press('n'); said.push(at('where').textContent);
at('kind').value = 'hardest'; at('kind').dispatchEvent(new Event('change'));
said.push(at('where').textContent);
press(' '); said.push(at('play').textContent);
press(' '); said.push(at('play').textContent);
document.title = 'said ' + JSON.stringify(said);
'''


@pytest.mark.skipif(not CHROMIUM, reason='no Chromium')
def test_report_controls_work_in_a_browser(saved, tmp_path):
    folder, _, examples = saved
    page = (folder / 'index.html').read_text('utf-8')
    head, script, tail = page.rpartition('</script>')
    (tmp_path / 'played.html').write_text(head + PLAYED + script + tail,
                                          'utf-8')
    done = subprocess.run(
        [CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu',
         '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync',
         f'--user-data-dir={tmp_path / "profile"}', '--dump-dom',
         (tmp_path / 'played.html').as_uri()],
        capture_output=True, text=True, timeout=300)
    if done.returncode:  # such as one that may not read the folder
        pytest.skip(f'Chromium does not run here: {done.stderr[-200:]}')
    said = json.loads(re.search('<title>said (.*?)</title>',
                                done.stdout).group(1))
    guesses = examples[0][2].probabilities.argmax(axis=1)
    assert said == [f'glimpse {t + 1} of 3: predicted {guesses[t]}'
                    for t in (0, 1, 2, 2, 1)] + [
        '2 of 2: image 1, class 1', '1 of 2: image 0, class 0',
        '1 of 1: image 7, class 2', 'Pause', 'Play']
