"""Numbers of the pages, held against the tables that the benchmarks have written.

The role ``:measured:`0.80 s <explanations.txt: 200 rows>``` shows ``0.80 s``. The build
fails unless a line of ``benchmarks/explanations.txt`` that contains ``200 rows`` has the
number, up to rounding to the decimals that are shown. Several texts are separated by ``&``.
Each must stand in the line, or in the first line of its paragraph. The number is a link to
the page of the benchmark, which this extension writes: its table, and its script.
"""

import ast
import re
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.docutils import SphinxRole

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TEXT = re.compile(r"(?P<shown>.+?)\s*<(?P<table>[\w.]+\.txt):\s*(?P<words>[^>]+)>", re.S)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


def fault(text):
    """Say what is wrong with the text of a role; None if nothing is.

    Parameters
    ----------
    text : str
        What stands between the backquotes.

    Returns
    -------
    fault : str or None
    """
    match = TEXT.fullmatch(text)
    if match is None:
        return f"{text!r} is not of the form 'NUMBER <TABLE.txt: WORDS>'."
    table = BENCHMARKS / match["table"]
    if not table.is_file():
        return f"There is no benchmarks/{match['table']}."
    words = [" ".join(each.split()) for each in match["words"].split("&")]
    lines = _lines_with(table.read_text(), words)
    if not lines:
        return f"No line of {match['table']} has {match['words']!r}."
    numbers = NUMBER.findall(match["shown"].replace("\N{MINUS SIGN}", "-"))
    if not numbers:
        return f"{match['shown']!r} has no number."
    in_table = [float(each.replace(",", "")) for each in NUMBER.findall("\n".join(lines))]
    for number in numbers:
        if not any(_is_rounded(number.replace(",", ""), each) for each in in_table):
            return f"{number} is not in {match['table']} where it has {match['words']!r}."
    return None


def _lines_with(table, words):
    """Return the lines that have all words, which may be in the first of the paragraph."""
    lines = []
    for paragraph in re.split(r"\n\s*\n", table):
        first, *others = [" ".join(line.split()) for line in paragraph.splitlines()] or [""]
        for line in [first, *others]:
            if all(each in line or each in first for each in words):
                lines.append(line)
    return lines


def _is_rounded(shown, value):
    decimals = len(shown.partition(".")[2])
    return abs(abs(float(shown)) - abs(value)) <= 0.5 * 10.0**-decimals * (1 + 1e-9)


class Measured(SphinxRole):
    """A number that a benchmark has measured, as a link to the page of the benchmark."""

    def run(self):
        wrong = fault(self.text)
        if wrong is not None:
            message = self.inliner.reporter.error(wrong, line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [
                message
            ]
        match = TEXT.fullmatch(self.text)
        name = match["table"].removesuffix(".txt")
        reference = pending_xref(
            "",
            nodes.inline("", match["shown"], classes=["measured"]),
            refdomain="std",
            reftype="doc",
            refdoc=self.env.docname,
            refexplicit=True,
            reftarget=f"/generated/benchmarks/{name}",
            refwarn=True,
        )
        return [reference], []


def write_pages(app):
    """Write the page of each benchmark: its table and its script."""
    folder = Path(app.srcdir, "generated", "benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    tables = sorted(BENCHMARKS.glob("*.txt"))
    for left_over in {*folder.glob("*.rst")} - {folder / f"{t.stem}.rst" for t in tables}:
        left_over.unlink()
    for table in tables:
        page = _page(table)
        path = folder / f"{table.stem}.rst"
        if not path.is_file() or path.read_text() != page:
            path.write_text(page)


def _page(table):
    script = table.with_suffix(".py")
    about = ast.get_docstring(ast.parse(script.read_text()))
    title = about.partition("\n")[0].rstrip(".")
    source = "../../../benchmarks"
    lines = [
        *(title, "=" * len(title), ""),
        *(f".. literalinclude:: {source}/{table.name}", "   :language: text", ""),
        *("The script", "----------", ""),
        *(f".. literalinclude:: {source}/{script.name}", "   :language: python", ""),
    ]
    return "\n".join(lines)


def setup(app):
    """Register the role and the pages."""
    app.add_role("measured", Measured())
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
