"""Whether a built site is whole: links within it lead somewhere, and it loads nothing from elsewhere."""

from __future__ import annotations

import html.parser
import pathlib
import re
import urllib.parse

# Attributes that make a browser load something. `href` of an `a` only leads there.
LOADED = {
    ("img", "src"),
    ("script", "src"),
    ("link", "href"),
    ("source", "src"),
    ("source", "srcset"),
    ("iframe", "src"),
}
LOADED |= {("video", "src"), ("object", "data"), ("use", "href")}


class Page(html.parser.HTMLParser):
    """The links, the places and what is loaded of one page."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.places |= {values[name] for name in ("id", "name") if name in values}
        self.loaded += [value for name, value in values.items() if (tag, name) in LOADED]
        self.loaded += re.findall(r"url\(['\"]?([^'\")]+)", values.get("style", ""))
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])


def is_elsewhere(link: str) -> bool:
    return re.match(r"(?!data:)[a-z][a-z0-9+.-]*:|//", link) is not None


def problems(folder: pathlib.Path) -> list[str]:
    """What is wrong with the pages of a built site: links within it that lead nowhere, and files from elsewhere."""
    pages = {path: Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        where = path.relative_to(folder)
        found += [f"{where}: {link} is loaded from elsewhere" for link in page.loaded if is_elsewhere(link)]
        for link in {*page.links, *page.loaded}:
            if is_elsewhere(link) or link.startswith("data:"):
                continue
            file, _, place = urllib.parse.unquote(link).partition("#")
            target = (path.parent / file.partition("?")[0]).resolve() if file else path
            if not target.exists():
                found.append(f"{where}: {link} leads to no file")
            elif place and target in pages and place not in pages[target].places:
                found.append(f"{where}: {link} leads to no place of that page")
    for path in folder.rglob("*.css"):
        files = re.findall(r"(?:url\(|@import )['\"]?([^'\")]+)", path.read_text())
        found += [
            f"{path.relative_to(folder)}: {file} is loaded from elsewhere" for file in files if is_elsewhere(file)
        ]
    return found
