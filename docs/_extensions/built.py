"""Whether a built site is whole: links lead somewhere, nothing is loaded from elsewhere, classes say what they take,
and one finds things."""

from __future__ import annotations

import html.parser
import os
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


# What somebody must find from the first page on, by so many clicks in the text of pages: where it is, and a word of it.
CLICKS = 3
FOUND = {
    "an interval from a CSV": ("start/from_a_csv.html", "predict_interval"),
    "why the loss is negative": ("how_do_i.html#my-loss-is-negative-is-that-wrong", "negative"),
    "a model on a phone": ("on_device.html", "export_litert"),
}


class Page(html.parser.HTMLParser):
    """The links, the places and what is loaded of one page."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.links_of_text: list[str] = []
        self.is_text = False
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.places |= {values[name] for name in ("id", "name") if name in values}
        self.loaded += [value for name, value in values.items() if (tag, name) in LOADED]
        self.loaded += re.findall(r"url\(['\"]?([^'\")]+)", values.get("style", ""))
        self.is_text |= tag == "article"
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
            if self.is_text:
                self.links_of_text.append(values["href"])

    def handle_endtag(self, tag: str) -> None:
        self.is_text &= tag != "article"


def is_elsewhere(link: str) -> bool:
    return re.match(r"(?!data:)[a-z][a-z0-9+.-]*:|//", link) is not None


def unnamed(text: str) -> list[str]:
    """The classes of a page whose signatures name no argument."""
    signatures = re.findall(r'<dt class="sig\b.*?</dt>', text, re.DOTALL)
    plain = [re.sub(r"<[^>]+>|\s+", "", signature) for signature in signatures]
    return [match[1] for match in map(re.compile(r"class([\w.]+)\(\*args\b.*\*\*kwargs\b").match, plain) if match]


def problems(folder: pathlib.Path) -> list[str]:
    """What is wrong with the pages of a built site: links within it that lead nowhere, and files from elsewhere."""
    texts = {path: path.read_text() for path in sorted(folder.rglob("*.html"))}
    pages = {path: Page(text) for path, text in texts.items()}
    found = []
    for path, page in pages.items():
        where = path.relative_to(folder)
        found += [f"{where}: {name} does not say what it takes" for name in unnamed(texts[path])]
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


def lost(folder: pathlib.Path, goals: dict[str, tuple[str, str]] = FOUND) -> list[str]:
    """What one does not find in a built site, from index.html on."""
    clicks, reached = {"index.html": 0}, ["index.html"]
    for link in reached:  # which grows
        if all(goal in clicks for goal, _ in goals.values()):
            break
        path = folder / link.partition("#")[0]
        if clicks[link] == CLICKS or path.suffix != ".html" or not path.exists():
            continue
        for href in Page(path.read_text()).links_of_text:
            if is_elsewhere(href):
                continue
            file, mark, place = urllib.parse.unquote(href).partition("#")
            target = os.path.relpath(path.parent / file if file else path, folder)
            for reachable in (target, f"{target}{mark}{place}"):  # one who sees a place sees the page
                if reachable not in clicks:
                    clicks[reachable] = clicks[link] + 1
                    reached.append(reachable)
    return [
        f"{what}: {goal} is more than {CLICKS} clicks away, or does not say {word!r}"
        for what, (goal, word) in goals.items()
        if goal not in clicks or word not in (folder / goal.partition("#")[0]).read_text()
    ]
