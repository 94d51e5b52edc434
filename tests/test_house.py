"""The rules of the house: imports point one way, public names are documented, listed and tested."""

import ast
import pathlib

import pytest

import tfmdn

ROOT = pathlib.Path(tfmdn.__file__).parents[1]
# Each module, and the modules of the package that it may import.
LAYERS = {
    "validation": set(),
    "datasets": {"validation"},
    "families": {"validation"},
    "components": set(),
    "search": {"components"},
    "mixture": {"components", "search"},
    "losses": {"mixture"},
    "layers": {"families", "mixture", "validation"},
    "export": {"layers", "mixture"},
}
PUBLIC = sorted(name for name in vars(tfmdn) if not name.startswith("_") and getattr(tfmdn, name) is not tfmdn.datasets)
PUBLIC = [name for name in PUBLIC if getattr(getattr(tfmdn, name), "__module__", "").startswith("tfmdn")]


def test_every_module_has_its_place():
    assert {path.stem for path in (ROOT / "tfmdn").glob("*.py")} == {*LAYERS, "__init__"}


@pytest.mark.parametrize("module", LAYERS)
def test_imports_point_one_way(module):
    tree = ast.parse((ROOT / "tfmdn" / f"{module}.py").read_text())
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "tfmdn":
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tfmdn."):
            imported.add(node.module.removeprefix("tfmdn."))
        assert not (isinstance(node, ast.ImportFrom) and node.level), "relative import"
    assert imported <= LAYERS[module]


def test_the_public_names():
    assert PUBLIC == ["MDNLayer", "Mixture", "NegativeLogLikelihood", "export_saved_model", "negative_log_likelihood"]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented(name):
    documentation = getattr(tfmdn, name).__doc__
    assert "Args:" in documentation
    assert ">>>" in documentation
    assert name in (ROOT / "README.md").read_text()
    assert name in (ROOT / "CHANGELOG.md").read_text()


def test_version_is_in_the_changelog():
    assert f"## [{tfmdn.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
