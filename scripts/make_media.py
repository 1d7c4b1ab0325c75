"""Makes the files in media/ and the generated parts of the README again.

    python scripts/make_media.py --data-root DIR    # DIR holds mnist/
"""
import argparse
import os
import re
import sys
import tempfile

from PIL import Image

from ram.files import replacing
from ram.cli import main
from ram.config import reference
from ram.gradient_map import gradient_table

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PICTURES = [
    ['render', 'pretrained:mnist', '--out', 'media/mnist.gif',
     '--indices', '0', '1', '8', '18'],
    ['data', 'preview', 'configs/translated.yaml', '--out',
     'media/translated.png', '--examples', '24'],
    ['data', 'preview', 'configs/cluttered.yaml', '--out',
     'media/cluttered.png', '--examples', '24'],
]


def draw_heat_maps(root):
    """One of the pictures of ram inspect, in few colours: it is shown small.

    Args:
        root (list of str): Arguments that name the data root.

    Returns:
        int: Exit status.

    """
    with tempfile.TemporaryDirectory() as folder:
        status = main(['inspect', 'pretrained:mnist', '--out', folder] + root)
        if not status:
            with Image.open(os.path.join(folder, 'heat_image.png')) as image:
                image.quantize(64).save('media/heat_image.png', optimize=True)
    return status


def fill(text, name, body):
    """Puts a generated text between its two markers in a page.

    Args:
        text (str): The page.
        name (str): Of the markers.
        body (str): Markdown.

    Returns:
        str: The page with it.

    """
    begin, end = f'<!-- {name} -->', f'<!-- /{name} -->'
    if begin not in text or end not in text:
        sys.exit(f'README.md: the markers {begin} and {end} are missing')
    return re.sub(f'{begin}.*?{end}',
                  lambda _: f'{begin}\n{body.strip()}\n{end}', text,
                  flags=re.DOTALL)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--data-root', metavar='DIR',
                        help='folder that holds mnist/')
    args = parser.parse_args()
    os.chdir(TOP)
    with open('README.md', encoding='utf-8') as page:
        readme = page.read()
    readme = fill(readme, 'configuration', reference())
    readme = fill(readme, 'gradient map', gradient_table())
    with replacing('README.md') as page:
        page.write(readme.encode())
    root = ['--data-root', args.data_root] if args.data_root else []
    for command in PICTURES:
        status = main(command + root)
        if status:
            sys.exit(status)
    sys.exit(draw_heat_maps(root))
