"""Pages of HTML that play: their scripts, their style and their data in one file, which needs nothing else.

The scripts lie in the folder `browser`, and are modules of JavaScript that import each other by relative paths. Here
they become one: what is imported comes first, and imports and exports go. So no name at the top of a module may be that
of another.
"""

from __future__ import annotations

import html
import json
import pathlib
import re
from typing import Any

BROWSER = pathlib.Path(__file__).parent / "browser"
IMPORT = re.compile(r'^import [^;]*? from "(\.[^"]+)";\n', re.MULTILINE)


def page(title: str, body: str, script: pathlib.Path, style: str = "", data: Any = None) -> str:
    """A page in one file.

    Args:
      title: text.
      body: HTML.
      script: the module that is run, with all that it imports.
      style: CSS beside that of all such pages.
      data: what the script finds as JSON in the element `data`.
    """
    parts = {
        "title": html.escape(title),
        "style": (BROWSER / "style.css").read_text(encoding="utf-8") + style,
        "body": body,
        # In a script nothing but its end is read.
        "data": json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "script": joined(script),
    }
    return filled((BROWSER / "page.html").read_text(encoding="utf-8"), parts)


def filled(template: str, parts: dict[str, str]) -> str:
    """A text with `{{name}}` replaced by the part of that name."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def joined(script: pathlib.Path) -> str:
    """A module and all that it imports, directly or not, as one."""
    modules: dict[pathlib.Path, str] = {}

    def add(path: pathlib.Path) -> None:
        if path in modules:
            return
        modules[path] = ""  # so that a circle ends
        text = path.read_text(encoding="utf-8")
        for name in IMPORT.findall(text):
            add((path.parent / name).resolve())
        del modules[path]
        modules[path] = re.sub(r"^export ", "", IMPORT.sub("", text), flags=re.MULTILINE)

    add(script.resolve())
    return "\n".join(modules.values())
