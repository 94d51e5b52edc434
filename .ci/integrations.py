"""Whether tfmdn goes with the tools of the trade: the extras `tools` and `clusters`, their tests, and their pages.

    python .ci/integrations.py --above PYTHON

PYTHON is that of an environment with the extra `test`, which the tools are installed beside. No test may be skipped,
but for that of Spark where there is no Java.
"""

import argparse
import concurrent.futures
import functools
import pathlib
import re
import sys

from environments import ROOT, environment, pip_install, run, section

EXTRAS = ("tools", "clusters")


def pages() -> list[pathlib.Path]:
    """Those whose first line names packages."""
    return [path for path in sorted((ROOT / "docs").rglob("*.md")) if path.read_text().startswith("<!-- needs:")]


def run_tests(python: pathlib.Path) -> None:
    """Runs tests/tools in two processes."""
    report = run(python, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "tests/tools")
    print(report)
    skipped = [line for line in re.findall(r"^SKIPPED.*", report, re.MULTILINE) if "Spark needs Java" not in line]
    if skipped:
        raise SystemExit("Nothing may be skipped here:\n" + "\n".join(skipped))


def run_page(python: pathlib.Path, page: pathlib.Path) -> None:
    print(run(python, "tests/test_readme.py", page.relative_to(ROOT)).strip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--above", type=pathlib.Path, required=True, help="the Python of the extra `test`")
    above = parser.parse_args().above
    section(f"the extras {', '.join(EXTRAS)}")
    python = environment("integrations", sys.executable, above=above.absolute())
    pip_install(python, "-e", f"{ROOT}[{','.join(EXTRAS)}]")
    run_tests(python)
    section("the snippets of the pages that need them")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:  # a process for each page
        list(pool.map(functools.partial(run_page, python), pages()))


if __name__ == "__main__":
    main()
