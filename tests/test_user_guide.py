"""The user guide: its messages are those of the package, and its index has all pages."""

import ast
import re
from pathlib import Path

import pytest

import sklearn_gal

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "user_guide"
PAGES = sorted(page.stem for page in GUIDE.glob("*.rst") if page.stem != "index")
TERMS = re.findall(
    r"^``.+``$", (GUIDE / "troubleshooting.rst").read_text(), flags=re.MULTILINE
)
QUOTED = [quoted for term in TERMS for quoted in re.findall(r"``(.+?)``", term)]


def texts(path):
    """Yield the strings of a module, in which `...` stands for what is formatted."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        if isinstance(node, ast.JoinedStr):
            parts = [
                part.value if isinstance(part, ast.Constant) else "..."
                for part in node.values
            ]
            yield "".join(parts)


@pytest.fixture(scope="module")
def messages():
    package = Path(sklearn_gal.__file__).parent
    return "\n".join(text for path in package.rglob("*.py") for text in texts(path))


def test_the_page_has_messages():
    assert len(QUOTED) > 15


@pytest.mark.parametrize("quoted", QUOTED)
def test_messages_are_those_of_the_package(quoted, messages):
    between = r"[^\n]{0,120}?".join(map(re.escape, quoted.split("...")))
    assert re.search(between, messages)


def test_index_has_all_pages():
    index = (GUIDE / "index.rst").read_text()
    assert sorted(re.findall(r"^   (\w+)$", index, flags=re.MULTILINE)) == PAGES
    assert set(re.findall(r":doc:`(\w+)`", index)) == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_pages_say_what_they_are_for(page):
    text = (GUIDE / f"{page}.rst").read_text()
    assert re.search(r"^After this page you ", text, flags=re.MULTILINE)
    assert re.search(r"^Next: :doc:`", text, flags=re.MULTILINE)
