"""The README as PyPI shows it; all other metadata is in pyproject.toml."""

from pathlib import Path

from setuptools import setup

# PyPI has no files next to the README
FILES = "https://raw.githubusercontent.com/sklearn-gal/sklearn-gal/main/"
readme = Path(__file__).with_name("README.rst").read_text(encoding="utf-8")

setup(
    long_description=readme.replace("image:: docs/", f"image:: {FILES}docs/"),
    long_description_content_type="text/x-rst",
)
