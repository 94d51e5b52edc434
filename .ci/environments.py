"""What the checks of the package share: environments outside of the checkout, its distributions, and programs."""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
CACHE = pathlib.Path(
    os.environ.get("TFMDN_CI_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "tfmdn-ci"
)


def section(title: str) -> None:
    print(f"\n== {title}", flush=True)


def run(*command: object, cwd: pathlib.Path = ROOT) -> str:
    """The standard output of a command, which is timed. One that fails ends the check, and all its output is shown."""
    start = time.perf_counter()
    command = [str(part) for part in command]
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)}\n{result.stdout}{result.stderr}\nexit status {result.returncode}")
    print(f"{time.perf_counter() - start:6.1f} s  {' '.join(part.split('/')[-1] for part in command)}", flush=True)
    return result.stdout


def requirements() -> list[tuple[str, str]]:
    """What setup.cfg declares, for the core and for extras: names and lower bounds."""
    lines = (ROOT / "setup.cfg").read_text()
    return re.findall(r"^    ([\w-]+)(?:\[.*\])?>=(\S+)$", lines, re.MULTILINE)


def environment(name: str, python: object, above: pathlib.Path | None = None) -> pathlib.Path:
    """The Python of an environment that is kept for the next run.

    Args:
      name: what it is for. Another interpreter, or other dependencies of tfmdn, make another one of that name, which
        takes the place of the earlier one: each is large, and the disk is not.
      python: the interpreter that it is made with.
      above: the Python of another environment, whose packages this one sees as well.
    """
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout
    key = hashlib.sha256(repr([requirements(), version, str(above)]).encode()).hexdigest()[:16]
    folder = CACHE / f"{name}-{key}"
    executable = folder / "bin" / "python"
    if not (folder / "complete").exists():
        for earlier in CACHE.glob(f"{name}-*"):
            shutil.rmtree(earlier, ignore_errors=True)
        run(python, "-m", "venv", folder)
        if above is not None:
            (packages(executable) / "above.pth").write_text(f"{packages(above)}\n")
        (folder / "complete").touch()
    return executable


def packages(python: pathlib.Path) -> pathlib.Path:
    """The folder into which an environment's packages are installed."""
    (folder,) = python.parents[1].glob("lib/python*/site-packages")
    return folder


def pip_install(python: pathlib.Path, *arguments: object) -> None:
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *arguments)


def tools(python: object) -> pathlib.Path:
    """The Python of an environment with what builds and checks distributions."""
    executable = environment("tools", python)
    pip_install(executable, "pip>=23.3", "build>=1.2", "twine>=6.1", "uv>=0.5")
    return executable


def build(tools: pathlib.Path, folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Builds the source distribution, and the wheel from it."""
    run(tools, "-m", "build", "--outdir", folder, ROOT)
    (archive,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return archive, wheel


def smoke(python: pathlib.Path, program: str, folder: pathlib.Path) -> str:
    """Runs one of the programs of .ci/smoke in a folder outside of the checkout, which is not on its path."""
    return run(python, "-I", ROOT / ".ci" / "smoke" / f"{program}.py", cwd=folder)
