"""Builds the site into outputs/site, with warnings as errors, and checks its links and that one finds things.

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

    # One process: TensorFlow, which the reference imports, is not to be forked.
    status = main(["-W", "--keep-going", "-q", *sys.argv[1:], str(DOCS), str(SITE)])
    problems = [*built.problems(SITE), *built.lost(SITE)] if status < 2 else ["It was not built to its end."]
    print("\n".join(problems) or f"The pages are in {SITE.relative_to(DOCS.parent)}, and their links lead somewhere.")
    sys.exit(status or bool(problems))
