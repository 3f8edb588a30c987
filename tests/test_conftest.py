"""What the tests print while they run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

TESTS = """
def test_passes():
    pass


def test_fails():
    assert False


def test_passes_too():
    pass
"""


def test_a_failure_is_named_when_it_happens(tmp_path):
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_some.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--numprocesses=1", "--rootdir=."],
        cwd=tmp_path,
        env=os.environ | {"PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    progress, _, end = done.stdout.partition("= FAILURES =")
    assert progress.count("FAILED test_some.py::test_fails (call)") == 1
    assert "1 failed, 2 passed" in end
