"""Builds the source distribution and the wheel, and checks that each works with nothing around it.

    python .ci/wheel.py --tests-with PYTHON

The source distribution must hold what git holds, and its own tests. The wheel is installed alone, outside of the
checkout, and does there what tfmdn promises without extras; then each extra is installed above it, and does what it
promises. The last line that is printed is the folder of an environment for the extra `examples`, which has nothing yet
but sees the packages of the wheel alone.
"""

import argparse
import pathlib
import subprocess
import sys
import tarfile
import tempfile

from environments import ROOT, build, environment, pip_install, run, section, smoke, tools

EXTRAS = ("litert", "onnx", "plots", "sklearn", "tables")
# Large: only whether versions are found that go together, by uv, which reads the metadata of wheels of gigabytes, not
# them. The README's commands install `examples` and `test`, .ci/integrations.py installs `tools` and `clusters`.
RESOLVED = ("benchmarks", "cuda")


def check_archive(archive: pathlib.Path, folder: pathlib.Path, tests_with: pathlib.Path) -> None:
    with tarfile.open(archive) as file:
        held = {member.name.partition("/")[2] for member in file if member.isfile()}
        # The filter came with patch releases of Python 3.10 and 3.11. The archive is our own.
        file.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    if (ROOT / ".git").exists():
        tracked = set(subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).split())
        tracked = {path for path in tracked if not path.startswith(".git")}
        made = {path for path in held if path == "PKG-INFO" or path.startswith("tfmdn.egg-info/")}
        lacking, unknown = sorted(tracked - held), sorted(held - tracked - made)
        if lacking or unknown:
            raise SystemExit(f"{archive.name} lacks {lacking}, and git does not hold {unknown}.")
    unpacked = folder / archive.name.removesuffix(".tar.gz")
    pytest = (tests_with, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    run(*pytest, "--collect-only", cwd=unpacked)
    run(*pytest, "tests/test_packaging.py", "tests/test_house.py", "tests/test_saved_models.py", cwd=unpacked)


def install(python: pathlib.Path, wheel: pathlib.Path, extra: str = "") -> None:
    """Installs the wheel, in the place of one of an earlier run, and what it declares."""
    pip_install(python, "--force-reinstall", "--no-deps", wheel)
    pip_install(python, f"{wheel}{extra}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests-with", type=pathlib.Path, required=True, help="the Python of the extra `test`")
    tests_with = parser.parse_args().tests_with
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        section("sdist and wheel")
        builder = tools(sys.executable)
        archive, wheel = build(builder, folder / "dist")
        run(builder, "-m", "twine", "check", "--strict", archive, wheel)
        check_archive(archive, folder, tests_with)

        section("the wheel alone")
        core = environment("core", sys.executable)
        install(core, wheel)
        run(core, "-m", "pip", "check")
        smoke(core, "core", folder)
        for extra in EXTRAS:
            section(f"the extra {extra} alone")
            python = environment(extra, sys.executable, above=core)
            install(python, wheel, f"[{extra}]")
            smoke(python, extra, folder)
        section(f"the extras {', '.join(RESOLVED)}: are there versions?")
        for extra in RESOLVED:
            uv = (builder, "-m", "uv", "pip", "install", "-q", "--no-cache")
            run(*uv, "--dry-run", "--python", core, f"{wheel}[{extra}]")
        print(environment("examples", sys.executable, above=core).parents[1])


if __name__ == "__main__":
    main()
