from setuptools import setup

setup()  # pyproject.toml holds the metadata
