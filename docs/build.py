"""Builds the site into outputs/site, with warnings as errors.

    python docs/build.py

It needs the extra `docs`, and no network.
"""

import pathlib
import sys

from sphinx.cmd.build import main

HERE = pathlib.Path(__file__).resolve().parent

if __name__ == "__main__":
    site = HERE.parent / "outputs" / "site"
    sys.exit(main(["-W", "--keep-going", "-j", "2", "-q", *sys.argv[1:], str(HERE), str(site)]))
