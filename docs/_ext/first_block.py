"""The first block of the README: run it, and write what it prints and draws.

python docs/_ext/first_block.py
"""

import os
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.rst"
PICTURE = ROOT / "docs" / "_static" / "report.png"
# Writes the texts of the picture into its file, with which a test can compare them.
DESCRIBE = """
from matplotlib import pyplot
from matplotlib.text import Text
texts = [each.get_text() for each in pyplot.gcf().findobj(Text)]
pyplot.savefig("report.png", metadata={"Description": "\\n".join(filter(None, texts))})
"""
OUTPUT = re.compile(r"(?<=\.\. code-block:: text\n\n)(?:    .*\n|\n(?=    ))+")


def code():
    """Return the code of the first block."""
    first = README.read_text().partition(".. code-block:: python\n\n")[2]
    return textwrap.dedent(re.match(r"(?:    .*\n|\n(?=    ))+", first)[0])


def output():
    """Return what the README says that the block prints."""
    return textwrap.dedent(OUTPUT.search(README.read_text())[0])


def texts(picture):
    """Return the texts of a picture that `run` has drawn."""
    from PIL import Image

    with Image.open(picture) as image:
        return image.info["Description"]


def run(folder):
    """Run the block in a folder, in a new process, and return what it prints."""
    command = [sys.executable, "-W", "error", "-c", code() + DESCRIBE]
    environment = os.environ | {"MPLBACKEND": "agg"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"The first block of the README failed:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        printed = textwrap.indent(run(folder), "    ")
        PICTURE.write_bytes(Path(folder, "report.png").read_bytes())
    README.write_text(OUTPUT.sub(lambda match: printed, README.read_text(), count=1))
