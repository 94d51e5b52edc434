"""Docstrings as reStructuredText: `code` in single backticks, as in Markdown, and indented lines as they are."""

from __future__ import annotations

import re
import textwrap

CODE = re.compile(r"(?<![`\w])`([^`]+)`(?!`)")
# What would be markup elsewhere: emphasis, substitutions, and names of targets.
# Arguments, as in `**kwargs: ...`, are left to napoleon.
MARKUP = re.compile(r"(?<![\w*])\*(?=[^\s*\w])|\||(?<=\w)_(?![\w:])")


def text(paragraph: str) -> str:
    """A paragraph, in which nothing but code is marked up."""
    parts = CODE.split(paragraph)
    parts[::2] = [MARKUP.sub(lambda match: f"\\{match[0]}", part) for part in parts[::2]]
    parts[1::2] = [f"``{' '.join(part.split())}``" for part in parts[1::2]]
    # Code ends where no letter follows, as that of a plural.
    parts[2::2] = [f"\\ {part}" if part[:1].isalnum() else part for part in parts[2::2]]
    return "".join(parts)


def document(docstring: str) -> str:
    """A docstring of paragraphs, lists and indented lines, the last of which stay as they are."""
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", docstring):
        lines = paragraph.split("\n")
        if all(line.startswith("  ") for line in lines):
            body = textwrap.indent(textwrap.dedent(paragraph), "   ")
            joined = paragraphs and paragraphs[-1].startswith(".. code-block::")
            paragraphs.append(body if joined else f".. code-block:: none\n\n{body}")
            if joined:
                paragraphs[-2:] = ["\n\n".join(paragraphs[-2:])]
        else:
            paragraphs.append(text(paragraph))
    return "\n\n".join(paragraphs)


def google(lines: list[str]) -> list[str]:
    """A docstring in Google's style, for napoleon: its examples stay as they are."""
    done: list[str] = []
    paragraph: list[str] = []  # code may begin in one line and end in the next

    def finish() -> None:
        done.extend(text("\n".join(paragraph)).split("\n") if paragraph else [])
        paragraph.clear()

    inside = False  # an example
    for line in lines:
        inside = line.lstrip().startswith(">>>") or (inside and bool(line.strip()))
        if inside or not line.strip():
            finish()
            done.append(line)
        else:
            paragraph.append(line)
    finish()
    return shapes_apart(without_types(done))


def without_types(lines: list[str]) -> list[str]:
    """Returned values, of which napoleon takes for a type what stands in the first line before a colon."""
    done: list[str] = []
    for before, line in zip(["", *lines], lines):
        if before.strip() in ("Returns:", "Yields:") and re.search(r":( |$)", line):
            done.append(f"{' ' * (len(line) - len(line.lstrip()))}\\")  # nothing
        done.append(line)
    return done


def shapes_apart(lines: list[str]) -> list[str]:
    """Sections of one sentence, as in `Input shape: [*B]`, as paragraphs."""
    done: list[str] = []
    inside = False
    for line in lines:
        match = re.match(r"((?:Input|Output|Input and output) shape): (.*)", line)
        inside = match is not None or (inside and line.startswith(" "))
        if match:
            done += ["", f"**{match[1]}:** {match[2]}"]
        else:
            done.append(line.lstrip() if inside else line)
    return done
