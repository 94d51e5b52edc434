"""Writes the playground beside the pages, as playground/index.html: see docs/playground/README.md."""

import pathlib
import runpy

BUILD = pathlib.Path(__file__).parents[1] / "playground" / "build.py"


def write(app, exception) -> None:
    if exception is None and app.builder.format == "html":
        runpy.run_path(str(BUILD))["build"](pathlib.Path(app.outdir) / "playground" / "index.html")


def setup(app) -> dict:
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
