"""Sphinx configuration."""

from sklearn_gal import __version__

project = "sklearn_gal"
author = "sklearn_gal developers"
copyright = "2026, sklearn_gal developers"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "sphinx.ext.mathjax",
    "numpydoc",
]
extlinks = {"arxiv": ("https://arxiv.org/abs/%s", "arXiv:%s")}
autosummary_generate = True
numpydoc_show_class_members = False
exclude_patterns = ["_build", "templates"]
templates_path = ["templates"]
html_theme = "pydata_sphinx_theme"
html_title = "sklearn_gal"
html_theme_options = {"show_toc_level": 2}
