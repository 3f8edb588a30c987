"""A document of headings, paragraphs, lists and tables, as Markdown or HTML."""

import html
import re

# Characters that have a meaning in Markdown, and those that have one at the start of a line
_MARKDOWN = re.compile(r"([\\`*_\[\]|~$#])")
_LINE_START = re.compile(r"^(?:([-+=])|(\d+)([.)](?=\s|$)))")

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 50rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; }
h2 { margin-top: 2rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0; }
th, td { border: 1px solid #ccc; padding: 0.25rem 0.6rem; text-align: left;
  vertical-align: top; }
th { background: #f4f4f4; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
"""


class Document:
    """A document with a title, to which blocks are added.

    Parameters
    ----------
    title : str
        The title.
    """

    def __init__(self, title):
        self.title = title
        self._blocks: list[tuple] = []

    def heading(self, text):
        """Add a heading."""
        self._blocks.append(("heading", text))

    def paragraph(self, text):
        """Add a paragraph."""
        self._blocks.append(("paragraph", text))

    def items(self, texts):
        """Add a list; nothing if it is empty."""
        if texts:
            self._blocks.append(("items", list(texts)))

    def table(self, header, rows):
        """Add a table of texts and of numbers, which are texts as well."""
        self._blocks.append(("table", header, [list(map(str, row)) for row in rows]))

    def to_markdown(self):
        """Return the document as Markdown, with tables of GitHub's kind."""
        parts = [f"# {_plain(self.title)}"]
        for kind, *content in self._blocks:
            if kind == "heading":
                parts.append(f"## {_plain(content[0])}")
            elif kind == "paragraph":
                parts.append(_line(content[0]))
            elif kind == "items":
                parts.append("\n".join(f"- {_line(each)}" for each in content[0]))
            else:
                header, rows = content
                cells = [[_plain(cell) for cell in row] for row in [header, *rows]]
                lines = [cells[0], ["---"] * len(header), *cells[1:]]
                parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        return "\n\n".join(parts) + "\n"

    def to_html(self):
        """Return the document as an HTML page without references to other files."""
        parts = [f"<h1>{html.escape(self.title)}</h1>"]
        for kind, *content in self._blocks:
            if kind == "heading":
                parts.append(f"<h2>{html.escape(content[0])}</h2>")
            elif kind == "paragraph":
                parts.append(f"<p>{html.escape(content[0])}</p>")
            elif kind == "items":
                items = "".join(f"<li>{html.escape(each)}</li>" for each in content[0])
                parts.append(f"<ul>{items}</ul>")
            else:
                parts.append(_html_table(*content))
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{html.escape(self.title)}</title>\n<style>{_STYLE}</style>\n"
            "</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
        )


def _plain(text):
    """Return a text that Markdown shows as it is, in one line."""
    text = html.escape(" ".join(text.split()), quote=False)
    return _MARKDOWN.sub(r"\\\1", text)


def _line(text):
    """Return a text that Markdown shows as it is, also at the start of a line."""
    return _LINE_START.sub(
        lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\{found[3]}",
        _plain(text),
    )


def _html_table(header, rows):
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{_html_cells(row)}</tr>\n" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>"


def _html_cells(row):
    """Return the cells of a row; numbers behind the first cell are aligned right."""
    cells = []
    for j, text in enumerate(row):
        number = ' class="number"' if j and _is_number(text) else ""
        cells.append(f"<td{number}>{html.escape(text)}</td>")
    return "".join(cells)


def _is_number(text):
    return re.fullmatch(r"[-+]?[\d,.]+(e[-+]?\d+)?( ?%)?", text) is not None
