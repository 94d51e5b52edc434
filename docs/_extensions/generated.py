"""Pages that are made when the site is built, in folders of their own, which git ignores."""

from __future__ import annotations

import pathlib


def write(folder: pathlib.Path, texts: dict[str, str]) -> None:
    """Writes pages into a folder that has no others, those that are new or otherwise than before."""
    folder.mkdir(exist_ok=True)
    for file in folder.glob("*.rst"):
        if file.stem not in texts:
            file.unlink()
    for stem, text in texts.items():
        file = folder / f"{stem}.rst"
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
