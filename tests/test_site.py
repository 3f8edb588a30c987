"""The check of the built site."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
specification = importlib.util.spec_from_file_location(
    "check_site", DOCS / "_ext" / "check_site.py"
)
check_site = importlib.util.module_from_spec(specification)
specification.loader.exec_module(check_site)


@pytest.fixture
def site(tmp_path):
    tmp_path.joinpath("a b.html").write_text('<html lang="en"><p id="here">x</p></html>')
    return tmp_path


@pytest.mark.parametrize(
    "element",
    [
        '<a href="a%20b.html#here">',
        '<a href="https://example.org/#there">',
        '<img src="a b.html" alt="">',
        '<p id="below"><a href="#below"><a href="#">',
        '<link rel="canonical" href="https://example.org/">',
    ],
)
def test_page_without_faults(site, element):
    site.joinpath("page.html").write_text(f'<html lang="en">{element}</html>')
    assert list(check_site.faults(site)) == []


@pytest.mark.parametrize(
    ("element", "fault"),
    [
        ('<a href="c.html">', "c.html leads to no file"),
        ('<a href="a%20b.html#there">', "#there leads to no anchor"),
        ('<a href="#below">', "#below leads to no anchor"),
        ('<img src="a b.html">', "a b.html has no text"),
        ('<img src="a b.html" alt="a b.html">', "a b.html has no text"),
        ('<img src="c.png" alt="x">', "c.png leads to no file"),
        ('<script src="https://example.org/x.js">', "loads https://example.org/x.js"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "from another host"),
    ],
)
def test_page_with_a_fault(site, element, fault):
    site.joinpath("page.html").write_text(f'<html lang="en">{element}</html>')
    (found,) = check_site.faults(site)
    assert found.startswith("page.html: ")
    assert fault in found


def test_page_without_a_language(site):
    site.joinpath("page.html").write_text("<html></html>")
    assert list(check_site.faults(site)) == [
        "page.html: The page does not say its language."
    ]
