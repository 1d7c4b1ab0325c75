import os
import re

from setuptools import find_packages
from setuptools import setup


def read(name):
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, name), encoding='utf-8') as file:
        return file.read()


setup(
    name='ram-chainer',
    # Read as text: importing the package takes Chainer.
    version=re.search(
        r"^__version__ = '(.+)'$", read('ram/__init__.py'), re.M).group(1),
    description='Recurrent Models of Visual Attention in Chainer',
    license='MIT',
    python_requires='>=3.9',
    packages=find_packages(include=['ram', 'ram.*']),
    package_data={'ram': ['pretrained/*', 'visualizations/*.html']},
    install_requires=re.findall(
        r'^[^#\s].*', read('requirements.txt'), re.M),
    extras_require={
        # [ctk] brings the CUDA libraries as wheels (CuPy 14, Python 3.10).
        'cuda12': ['cupy-cuda12x[ctk]'],
        'cuda13': ['cupy-cuda13x[ctk]'],
        'video': ['imageio[ffmpeg]'],
        'tensorboard': ['tensorboardX>=2.6.2.2'],
        'test': ['hypothesis', 'pytest', 'pytest-cov', 'pytest-xdist>=3.7',
                 'tensorboardX>=2.6.2.2'],
    },
    entry_points={'console_scripts': ['ram = ram.commands.main:main']},
)
