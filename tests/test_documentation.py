"""The documentation: numbers that benchmarks have measured."""

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = [
    page
    for page in sorted(DOCS.rglob("*.rst"))
    if not {"generated", "auto_examples", "_build"} & set(page.relative_to(DOCS).parts)
]
specification = importlib.util.spec_from_file_location(
    "measured", DOCS / "_ext/measured.py"
)
measured = importlib.util.module_from_spec(specification)
specification.loader.exec_module(measured)


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "BENCHMARKS", tmp_path)
    text = "two rows, seconds\n  a   1.25  -3\n  b   10,000\n\nthree rows\n  a   7"
    tmp_path.joinpath("t.txt").write_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "1.25 <t.txt: a>",
        "1.2 s <t.txt: two rows & a>",
        "1.3 <t.txt: a & two   rows>",
        "\N{MINUS SIGN}3 <t.txt: a>",
        "10,000 to 10000 <t.txt: b>",
        "7 <t.txt: three & a>",
    ],
)
def test_numbers_of_a_table(table, text):
    assert measured.fault(text) is None


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("1.26 <t.txt: a>", "1.26 is not in t.txt"),
        ("1.25 <t.txt: b>", "1.25 is not in t.txt"),
        ("7 <t.txt: two & a>", "7 is not in t.txt"),
        ("7 and 8 <t.txt: a>", "8 is not in t.txt"),
        ("7 <t.txt: four rows>", "No line of t.txt has 'four rows'"),
        ("some <t.txt: a>", "has no number"),
        ("7 <u.txt: a>", "There is no benchmarks/u.txt"),
        ("7", "is not of the form"),
    ],
)
def test_numbers_that_a_table_does_not_have(table, text, wrong):
    assert wrong in measured.fault(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_numbers_of_the_pages(page):
    roles = re.findall(r":measured:`([^`]+)`", page.read_text())
    assert [each for each in map(measured.fault, roles) if each] == []


def test_numbers_of_the_paper():
    paper = DOCS.parent.joinpath("paper", "paper.md").read_text()
    roles = re.findall(r"(\d[\d.]*)[^\d<]*<!-- (\w+\.txt: [^>]+) -->", paper)
    assert len(roles) == paper.count(".txt:")
    assert [each for each in (measured.fault(f"{a} <{b}>") for a, b in roles) if each] == []


def test_references_of_the_paper():
    paper, references = (
        DOCS.parent.joinpath("paper", name).read_text()
        for name in ("paper.md", "paper.bib")
    )
    cited = set(re.findall(r"@(\w+)", paper))
    assert cited == set(re.findall(r"^@\w+\{(\w+),", references, flags=re.MULTILINE))
