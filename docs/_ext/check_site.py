"""Check a built site: it works without a network and without dead ends.

    python docs/_ext/check_site.py docs/_build/html

No page loads anything from another host. All local links lead to a file, and to an anchor
that is there. All pictures have a text for readers who do not see them, which is empty if
the link next to it says the same. All pages say their language.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# A page shows or runs what these attributes name. Links are only followed on a click.
LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href"}
# of a link element, what a browser does not load
NOT_LOADED = {"canonical", "next", "prev", "search", "index", "help", "author"}


class Page(HTMLParser):
    """The links, anchors and pictures of a page."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loaded, self.faults = {""}, [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        """Take note of an element."""
        found = dict(attributes)
        self.anchors.update({found.get("id"), found.get("name")} - {None})
        if tag == "html" and not found.get("lang"):
            self.faults.append("The page does not say its language.")
        # where a page gives no text, Sphinx writes the path of the picture
        if tag == "img" and found.get("alt", found["src"]) == found["src"]:
            self.faults.append(f"The picture {found['src']} has no text.")
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        address = found.get(LOADED.get(tag, ""))
        if address and not {*found.get("rel", "").split()} & NOT_LOADED:
            self.loaded.append(address)


def faults(folder):
    """Yield what is wrong with each page of the folder."""
    folder = folder.resolve()
    paths = [
        path for path in folder.rglob("*.html") if folder / "_static" not in path.parents
    ]
    pages = {path: Page(path) for path in paths}
    for path, page in pages.items():
        wrong = list(page.faults)
        for address in page.loaded:
            if urlsplit(address).netloc:
                wrong.append(f"The page loads {address} from another host.")
        for address in page.links + page.loaded:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                wrong.append(f"The link {address} leads to no file.")
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                wrong.append(f"The link {address} leads to no anchor.")
        yield from (f"{path.relative_to(folder)}: {each}" for each in wrong)


if __name__ == "__main__":
    found = sorted(set(faults(Path(sys.argv[1]))))
    print("\n".join(found) or "The site needs no network and has no dead ends.")
    sys.exit(bool(found))
