"""Whether tfmdn works with the lowest versions that setup.cfg declares, and with the newest.

    python .ci/versions.py

The lowest on the oldest Python that it declares, the newest on the newest: the wheel and the extras of which .ci/smoke
has programs are installed, and the programs run. The interpreters are those of the names python3.10, ... or of pyenv;
one that is not at hand is left out.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

from environments import ROOT, build, environment, pip_install, requirements, run, section, smoke, tools

PROGRAMS = ("core", "litert", "onnx", "plots", "sklearn", "tables")


def supported() -> list[str]:
    """The versions of Python that the package is for, in order."""
    return re.findall(r"Programming Language :: Python :: (3\.\d+)", (ROOT / "setup.cfg").read_text())


def lowest(folder: pathlib.Path) -> pathlib.Path:
    """A file of constraints: each lower bound of setup.cfg as the version."""
    path = folder / "lowest.txt"
    path.write_text("".join(f"{name}=={version}\n" for name, version in requirements()))
    return path


def interpreter(version: str) -> str | None:
    for path in (
        f"python{version}",
        *map(str, (pathlib.Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python")),
    ):
        try:
            subprocess.run([path, "--version"], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return path
    return None


def check(which: str, version: str, wheel: pathlib.Path, folder: pathlib.Path, *constraints: object) -> None:
    section(f"the {which} versions, Python {version}")
    python = interpreter(version)
    if python is None:
        print("no such interpreter")
        return
    python = environment(which, python)
    pip_install(python, "--force-reinstall", "--no-deps", wheel)
    pip_install(python, "--upgrade", "--upgrade-strategy", "eager", f"{wheel}[{','.join(PROGRAMS[1:])}]", *constraints)
    print(run(python, "-m", "pip", "freeze", "--all"))
    for program in PROGRAMS:
        smoke(python, program, folder)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        _, wheel = build(tools(sys.executable), folder / "dist")
        oldest, *_, newest = supported()
        check("lowest", oldest, wheel, folder, "-c", lowest(folder))
        check("newest", newest, wheel, folder)


if __name__ == "__main__":
    main()
