"""Whether the site is built without warnings, its tutorials run, and its links lead somewhere.

    python .ci/site.py --above PYTHON

PYTHON is that of an environment with the extra `test`, which Sphinx and what it needs are installed beside.
"""

import argparse
import pathlib
import sys

from environments import ROOT, environment, pip_install, run, section


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--above", type=pathlib.Path, required=True, help="the Python of the extra `test`")
    above = parser.parse_args().above
    section("the site")
    python = environment("docs", sys.executable, above=above.absolute())
    pip_install(python, "-e", f"{ROOT}[docs]")
    print(run(python, "docs/build.py", "-E"))
    print(run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_site.py"))


if __name__ == "__main__":
    main()
