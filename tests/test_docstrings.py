"""Every public docstring is numpydoc that its validator accepts."""

import importlib
import inspect
import pkgutil

import pytest
from numpydoc.validate import validate

import sklearn_gal

# Not asked for, as in scikit-learn: extended summaries, examples and "See Also" in every
# method; a returned value may have a name; text may start on the first line.
NOT_ASKED_FOR = {"ES01", "EX01", "GL01", "RT02", "SA01"}


def public_modules():
    names = [module.name for module in pkgutil.iter_modules(sklearn_gal.__path__)]
    inside = [f"sklearn_gal.{name}" for name in names if not name.startswith("_")]
    return ["sklearn_gal", *inside]


def public_objects(module):
    """Names of the functions and classes of a module, and of the classes' methods."""
    for name in module.__all__:
        entry = getattr(module, name)
        if inspect.isfunction(entry) or inspect.isclass(entry):
            yield f"{module.__name__}.{name}"
        if inspect.isclass(entry):
            for method, member in inspect.getmembers(entry):
                own = str(getattr(member, "__module__", "")).startswith("sklearn_gal")
                if own and not method.startswith("_") and inspect.isroutine(member):
                    yield f"{module.__name__}.{name}.{method}"


def test_public_modules_are_found():
    assert {"sklearn_gal", "sklearn_gal.losses", "sklearn_gal.inspection"} <= set(
        public_modules()
    )


@pytest.mark.parametrize("module", public_modules())
def test_public_docstrings(module):
    module = pytest.importorskip(module, exc_type=ImportError)
    assert inspect.getdoc(module)
    classes = [entry for entry in vars(module).values() if inspect.isclass(entry)]
    methods = [member for entry in classes for member in inspect.getmembers(entry)]
    documented = {name for name, method in methods if inspect.getdoc(method)}
    wrong = {}
    for name in public_objects(module):
        errors = dict(validate(name)["errors"])
        if name.rpartition(".")[2] in documented:  # by what it overrides, or once for all
            errors.pop("GL08", None)
        errors = {code: text for code, text in errors.items() if code not in NOT_ASKED_FOR}
        if errors:
            wrong[name] = errors
    assert not wrong


def test_every_public_name_is_in_the_api_reference(pytestconfig):
    reference = (pytestconfig.rootpath / "docs" / "api.rst").read_text()
    for name in public_modules():
        module = pytest.importorskip(name, exc_type=ImportError)
        for public in module.__all__:
            entry = getattr(module, public)
            if inspect.isfunction(entry) or inspect.isclass(entry):
                prefix = name.removeprefix("sklearn_gal").lstrip(".")
                listed = f"{prefix}.{public}" if prefix else public
                assert f"   {listed}\n" in reference


def test_modules_name_what_is_public():
    for name in public_modules():
        module = importlib.import_module(name)
        assert sorted(module.__all__) == list(module.__all__)
