"""The version and the requirements are written in several files, which agree."""

import re
import tomllib
from pathlib import Path

import pytest

import sklearn_gal

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def dependencies(requirements):
    """Return the specifiers of requirements by the name of the package."""
    pairs = (
        re.fullmatch(r"([\w.-]+) *([<>=,.\d]+)", each).groups() for each in requirements
    )
    return dict(pairs)


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("CHANGES.rst", r"\A=+\nChanges\n=+\n\n(\S+)"),
        ("CITATION.cff", r"^version: (\S+)$"),
        ("conda/recipe.yaml", r"^  version: (\S+)$"),
        ("deploy/README.rst", r"^ +sklearn-gal:(\S+) organization$"),
    ],
)
def test_the_version_is_that_of_the_package(file, pattern):
    (version,) = re.findall(pattern, (ROOT / file).read_text(), flags=re.MULTILINE)
    assert version == sklearn_gal.__version__


def test_the_conda_recipe_has_the_requirements_of_the_package():
    recipe = (ROOT / "conda" / "recipe.yaml").read_text()
    (run,) = re.findall(r"^  run:\n((?:    - .*\n)+)", recipe, flags=re.MULTILINE)
    listed = dependencies(line.removeprefix("    - ") for line in run.splitlines()[1:])
    assert listed == dependencies(PROJECT["dependencies"])
    (python,) = re.findall(r'python_min: "(.*)"', recipe)
    assert PROJECT["requires-python"] == f">={python}"


def test_the_policies_name_the_oldest_versions():
    page = (ROOT / "docs" / "policies.rst").read_text()
    rows = dict(re.findall(r"^   \* - (\S+)\n     - (\d[.\d]*)$", page, flags=re.MULTILINE))
    required = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["serve"]
    oldest = {
        name: re.match(r">=([.\d]+)", versions)[1]
        for name, versions in dependencies(required).items()
    }
    oldest["Python"] = PROJECT["requires-python"].removeprefix(">=")
    names = {"NumPy": "numpy", "SciPy": "scipy", "LightGBM": "lightgbm"}
    assert {"Python", "NumPy", "SciPy", "scikit-learn", "pandas", "LightGBM"} == set(rows)
    assert rows == {name: oldest[names.get(name, name)] for name in rows}
