"""What setup.cfg declares is what the code imports, and what the metadata say is true."""

import ast
import configparser
import fnmatch
import importlib.metadata
import pathlib
import re
import subprocess
import sys

import pytest
from packaging.requirements import Requirement

import tfmdn

ROOT = pathlib.Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text())
    for path in sorted((ROOT / "tfmdn").rglob("*.py"))
}

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")


def declared(section, option):
    """The requirements of setup.cfg by name. An extra of tfmdn stands for what it declares itself."""
    requirements = {}
    for line in SETUP[section][option].split("\n"):
        if line.startswith("tfmdn["):
            for extra in Requirement(line).extras:
                requirements |= declared("options.extras_require", extra)
        elif line:
            requirements[Requirement(line).name] = Requirement(line)
    return requirements


EXTRAS = {extra: declared("options.extras_require", extra) for extra in SETUP["options.extras_require"]}
CORE = declared("options", "install_requires")
# What runs the files that tfmdn writes: it stands in the extra for these, and is not imported.
RUNTIMES = {"onnxruntime"}


def imported_names(nodes):
    """What import statements and `importlib.import_module` name."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            strings = [part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
            yield from strings[:1]


def modules_of_the_core():
    """What `import tfmdn` imports of the package."""
    core, new = set(), {"tfmdn"}
    while new:
        core |= new
        names = {name for module in new for name in imported_names(MODULES[module].body) if name.startswith("tfmdn")}
        new = {name if name in MODULES else name.rpartition(".")[0] for name in names} - core
    return core


def distributions(names):
    """Those that bring the modules of other packages. One that is not installed has the name of its module."""
    packages = {name.partition(".")[0] for name in names} - {"tfmdn", *sys.stdlib_module_names}
    return {importlib.metadata.packages_distributions().get(package, [package])[0] for package in packages}


def test_the_core_declares_what_it_imports():
    imported = {name for module in modules_of_the_core() for name in imported_names(MODULES[module].body)}
    assert distributions(imported) == set(CORE)


def test_what_is_imported_later_is_of_the_core_or_of_an_extra_that_a_message_names():
    imported = {name for tree in MODULES.values() for name in imported_names(ast.walk(tree))}
    messages = "".join(ast.unparse(tree) for tree in MODULES.values())
    named = {name for extra in re.findall(r"pip install 'tfmdn\[(\w+)\]'", messages) for name in EXTRAS[extra]}
    assert distributions(imported) == {*CORE, *named} - RUNTIMES


def test_every_bound_is_given():
    for requirements in (CORE, *EXTRAS.values()):
        for requirement in requirements.values():
            assert str(requirement.specifier).startswith(">="), requirement


def test_citation():
    citation = (ROOT / "CITATION.cff").read_text()
    entries = dict(re.findall(r"^([\w-]+): *\"?(.+?)\"?$", citation, re.MULTILINE))
    assert entries["cff-version"] == "1.2.0"
    assert entries["version"] == tfmdn.__version__
    assert entries["license"] == SETUP["metadata"]["license"]
    assert f"name: {SETUP['metadata']['author']}" in citation


def test_typed():
    assert (ROOT / "tfmdn" / "py.typed").exists()
    assert SETUP["options.package_data"]["tfmdn"] == "py.typed"


def test_dir_lists_what_is_imported_when_it_is_asked_for():
    assert "MDNRegressor" in set(dir(tfmdn)) - set(vars(tfmdn))
    assert all(hasattr(tfmdn, name) for name in dir(tfmdn))


def test_it_is_the_package_beside_the_tests():
    assert pathlib.Path(tfmdn.__file__).parent == ROOT / "tfmdn"


def test_the_source_distribution_holds_what_git_holds():
    """By what MANIFEST.in says; .ci/wheel.py compares the archive itself."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    lines = [line.split() for line in (ROOT / "MANIFEST.in").read_text().splitlines()]
    patterns = ["tfmdn/*.py", "tfmdn/py.typed", "setup.cfg", "pyproject.toml", "LICENSE", "MANIFEST.in"]
    for command, *names in (line for line in lines if line and line[0] in ("include", "graft")):
        patterns += [f"{name}/*" if command == "graft" else name for name in names]
    left_out = [path for path in listed if not any(fnmatch.fnmatch(path, pattern) for pattern in patterns)]
    assert [path for path in left_out if not path.startswith(".git")] == []
