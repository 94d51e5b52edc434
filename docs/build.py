"""Builds the site into outputs/site, with warnings as errors, and checks its links.

    python docs/build.py

It needs the extra `docs`, and no network.
"""

import pathlib
import sys

from sphinx.cmd.build import main

DOCS = pathlib.Path(__file__).resolve().parent
SITE = DOCS.parent / "outputs" / "site"
sys.path.insert(0, str(DOCS / "_extensions"))

if __name__ == "__main__":
    import built

    status = main(["-W", "--keep-going", "-j", "2", "-q", *sys.argv[1:], str(DOCS), str(SITE)])
    problems = built.problems(SITE)
    print("\n".join(problems) or f"The pages are in {SITE.relative_to(DOCS.parent)}, and their links lead somewhere.")
    sys.exit(status or bool(problems))
