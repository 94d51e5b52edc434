"""Builds the playground: one page that needs nothing else, for the site or to be opened as it is.

    python docs/playground/build.py outputs/playground.html

`model.json` is what `make_model.py` wrote. The scripts here are those of this page; what it shares with the pages of
`tfmdn.plots.explorer` lies in tfmdn/plots/browser.
"""

import json
import pathlib
import sys

from tfmdn.plots import bundle

HERE = pathlib.Path(__file__).parent


def build(path: pathlib.Path) -> None:
    body, style = ((HERE / f"playground.{kind}").read_text(encoding="utf-8") for kind in ("html", "css"))
    data = json.loads((HERE / "model.json").read_text(encoding="utf-8"))
    page = bundle.page("Mixture density networks: a playground", body, HERE / "playground.js", style, data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    build(pathlib.Path(sys.argv[1]))
