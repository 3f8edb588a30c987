#!/usr/bin/env -S uv run --script

# /// script
# dependencies = ["nox>=2025.2.9"]
# ///

"""What continuous integration runs: ``nox -l`` lists it, ``nox -s lint`` runs a part."""

import shutil
import tarfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
HERE = Path(__file__).parent
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",  # idle threads do not spin
    "OPENBLAS_NUM_THREADS": "1",
}


@nox.session
def lint(session):
    """Style, spelling, and the security of the workflows."""
    session.install("codespell>=2.3", "ruff>=0.17", "zizmor>=1.5")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("codespell")
    session.run("zizmor", "--offline", "--quiet", ".github")


@nox.session
def types(session):
    """The type checker."""
    session.install("mypy>=1.15", ".")
    session.run("mypy")


@nox.session
def docs(session):
    """The site with its gallery, warnings as errors; then that it needs no network."""
    session.install(".[docs]")
    out = Path(session.posargs[0]) if session.posargs else HERE / "docs" / "_build"
    session.run(
        *("python", "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"),
        *("-d", str(out / "doctrees"), "docs", str(out / "html")),
        env=ONE_THREAD,
    )
    session.run("python", "docs/_ext/check_site.py", str(out / "html"))


@nox.session(default=False)
def links(session):
    """The links of the site to other sites; needs the network."""
    session.install(".[docs]")
    out = Path(session.create_tmp()).resolve()
    session.run(
        *("python", "-m", "sphinx", "-q", "-b", "linkcheck"),
        *("-D", "sphinx_gallery_conf.plot_gallery=0", "docs", str(out)),
        env=ONE_THREAD,
    )


@nox.session(default=False)
def accessibility(session):
    """The main pages of the built site with axe-core; needs Chromium on the path."""
    session.install("axe-playwright-python>=0.1.7", "playwright>=1.50")
    out = Path(session.posargs[0]) if session.posargs else HERE / "docs" / "_build"
    session.run("python", "docs/_ext/check_accessibility.py", str(out / "html"))


@nox.session
@nox.parametrize("scikit_learn", ["oldest", "1.7", "1.8", "latest"])
def tests(session, scikit_learn):
    """The tests of the sdist against the wheel made from it, outside the checkout."""
    tmp = Path(session.create_tmp()).resolve()
    for left_over in tmp.glob("sklearn_gal-*"):
        shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
    session.install("build")
    session.run("python", "-m", "build", "--outdir", str(tmp), str(HERE), silent=True)
    (sdist,), (wheel,) = tmp.glob("*.tar.gz"), tmp.glob("*.whl")
    pins = {"oldest": ["-r", ".ci/oldest.txt"], "latest": []}
    session.install(
        *pins.get(scikit_learn, [f"scikit-learn=={scikit_learn}.*"]), f"{wheel}[test]"
    )
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp, filter="data")
    unpacked = tmp / sdist.name.removesuffix(".tar.gz")
    shutil.rmtree(unpacked / "sklearn_gal")  # what is tested is what is installed
    session.chdir(unpacked)
    pages = ["docs/getting_started.rst", "docs/federated.rst"]
    if scikit_learn == "oldest":
        selected = ["-m", "not slow"]
    else:
        pages += ["docs/user_guide", "docs/works_with.rst"]
        selected = []
    session.run(
        *("python", "-m", "pytest", "-q", "tests", *pages, *selected),
        *session.posargs,
        env=ONE_THREAD,
    )


@nox.session(default=False)
def works_with(session):
    """The code of docs/works_with.rst with the packages that it is about."""
    session.install(".[test,works_with]")
    tests = ("docs/works_with.rst", "tests/test_works_with.py")
    session.run("python", "-m", "pytest", "-q", *tests, env=ONE_THREAD)
    tests = ("tests/test_conformal.py", "tests/test_feature_contributions.py")
    selected = ("-n", "0", "-k", "mapie or shap or libraries")
    session.run("python", "-m", "pytest", "-q", *tests, *selected, env=ONE_THREAD)


@nox.session(default=False)
def federated(session):
    """The tests between processes over NVIDIA FLARE, and the example; loopback only.

    Those with PostgreSQL are skipped where its programs are not installed.
    """
    session.install(".[test,federated,postgresql]")
    tests = (
        "tests/test_federated_flare.py",
        "tests/test_federated_certificates.py",
        "tests/test_federated_monitoring.py",
        "tests/test_federated_config.py",
        "tests/test_federated_service.py",
        "tests/test_operators_page.py",
    )
    session.run("python", "-m", "pytest", "-q", "-n", "0", "-rs", *tests, env=ONE_THREAD)
    session.run("python", "examples/federated/three_hospitals.py", env=ONE_THREAD)


@nox.session(default=False)
def coverage(session):
    """Branch coverage of the tests; fails below what pyproject.toml asks for."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-q", "--cov", env=ONE_THREAD)


@nox.session(default=False)
def benchmarks(session):
    """The benchmarks' quick modes, to see that they still run."""
    session.install(".[plot]")
    session.run("python", "examples/quickstart.py", env=ONE_THREAD)
    data = ("--data", "benchmarks")
    session.run("python", "benchmarks/accuracy.py", "--quick", *data, env=ONE_THREAD)
    session.run("python", "benchmarks/speed.py", "--quick", env=ONE_THREAD)


if __name__ == "__main__":
    nox.main()
