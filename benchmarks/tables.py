"""Tables of the benchmarks."""

from __future__ import annotations


def print_table(title: str, headers: list[str], rows: list[list[str]]) -> None:
    """Prints a heading and a table in Markdown; nothing if there are no rows."""
    if not rows:
        return
    print(f"\n### {title}\n")
    for row in (headers, ["---"] * len(headers), *rows):
        print("| " + " | ".join(row) + " |")
