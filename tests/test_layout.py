"""The package keeps to the layout that docs/design.rst describes."""

import ast
from pathlib import Path

import pytest

import sklearn_gal
from sklearn_gal import serving

PACKAGE = Path(sklearn_gal.__file__).parent
MODULES = sorted(
    str(path.relative_to(PACKAGE).with_suffix(""))
    for path in PACKAGE.rglob("*.py")
    if "federated" not in path.parts
)
# Imports go down only: a line may import from the lines below it.
LAYERS = [
    {"_cli"},
    {"serving"},
    {"__init__", "federated", "inspection"},
    {"_classifier", "_regressor"},
    {"_base"},
    {"_organization_values"},
    {"_assembly"},
    {"_calibrated", "_feature_contributions", "_fitted_attributes"},
    {"_warm_start"},
    {"_callbacks", "_kept_rows", "_metaestimator", "_training_data", "_validation"},
    {"_method", "_organizations"},
    {
        "_conformal",
        "_contract",
        "_intervals",
        "_learners",
        "_text_table",
        "_version",
        "losses",
        "privacy",
    },
]
# These see less than that.
SEES_ONLY = {
    "_conformal": set(),
    "_contract": set(),
    "_intervals": set(),
    "_learners": set(),
    "_method": {"_contract", "losses", "privacy"},
    "_organizations": {"_contract", "_learners"},
    "_text_table": set(),
    "losses": set(),
    "privacy": set(),
}
# Packages that a function imports, where it has met or is to make an object of theirs
IMPORTED_WHERE_USED = {
    "_feature_contributions": {"shap"},
    "_kept_rows": {"pandas"},
    "_learners/tree_libraries": {"catboost", "xgboost"},
}


def parts_imported(path):
    """The modules and folders of the package's top level that a module imports from."""
    package = ["sklearn_gal", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            names = node.module.split(".") if node.module else [node.names[0].name]
            yield [*base, *names][1]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=str)
def test_imports_go_down(path):
    part = path.relative_to(PACKAGE).with_suffix("").parts[0]
    (layer,) = [number for number, parts in enumerate(LAYERS) if part in parts]
    allowed = SEES_ONLY.get(part, set().union(*LAYERS[layer + 1 :])) | {part}
    assert set(parts_imported(path)) <= allowed


def test_the_method_knows_neither_estimators_nor_tables():
    for module in MODULES:
        if module.startswith("_method"):
            outside = {source.partition(".")[0] for source, _ in imports(module)[1]}
            assert not outside & {"sklearn", "lightgbm", "pandas", "polars"}


def imports(module):
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    inside, outside = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            inside |= {node.module} if node.module else {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            outside |= {(node.module, name.name) for name in node.names}
        elif isinstance(node, ast.Import):
            outside |= {(name.name, "") for name in node.names}
    return inside, outside


@pytest.mark.parametrize("module", MODULES)
def test_only_public_names_of_scikit_learn(module):
    for source, name in imports(module)[1]:
        if source.startswith("sklearn"):
            private = [part for part in [*source.split("."), name] if part.startswith("_")]
            assert private in ([], ["_safe_indexing"])


@pytest.mark.parametrize("module", MODULES)
def test_only_the_packages_asked_for(module):
    allowed = {"joblib", "lightgbm", "numpy", "scipy", "sklearn"}
    if module.startswith("inspection"):  # imported where they are used
        allowed |= {"matplotlib", "pandas"}
    allowed |= IMPORTED_WHERE_USED.get(module, set())
    if module.startswith("serving"):
        allowed |= {"pandas", "skops", "starlette", "uvicorn"}
    standard = {
        "asyncio",
        "collections",
        "concurrent",
        "contextlib",
        "copy",
        "dataclasses",
        "datetime",
        "difflib",
        "functools",
        "gc",
        "html",
        "importlib",
        "inspect",
        "itertools",
        "json",
        "logging",
        "math",
        "numbers",
        "pathlib",
        "re",
        "socket",
        "sys",
        "secrets",
        "time",
        "typing",
        "uuid",
        "warnings",
        "zipfile",
    }
    packages = {source.partition(".")[0] for source, _ in imports(module)[1]}
    assert packages <= allowed | standard


def test_the_types_are_for_users_too():
    assert (PACKAGE / "py.typed").exists()


def test_public_names():
    assert sorted(sklearn_gal.__all__) == [
        "GALClassifier",
        "GALRegressor",
        "__version__",
        "align_organizations",
        "default_learner",
        "losses",
        "make_organizations",
        "privacy",
    ]


def test_public_names_of_the_service():
    assert serving.__all__ == ["make_app"]


def test_the_engine_between_hosts_stays_in_its_folder():
    folder = PACKAGE / "federated" / "_flare"
    assert folder.is_dir()
    for path in PACKAGE.rglob("*.py"):
        if folder in path.parents:
            continue
        source = path.read_text()
        assert "nvflare." not in source, path
        assert "fed_client" not in source, path
        outside = imports(path.relative_to(PACKAGE).with_suffix(""))[1]
        assert "nvflare" not in {name.partition(".")[0] for name, _ in outside}, path
