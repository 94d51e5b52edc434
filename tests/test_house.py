"""The rules of the house: imports point one way, public names are documented, listed and tested."""

import ast
import pathlib
import re
import subprocess
import sys
import textwrap

import pytest

import tfmdn

ROOT = pathlib.Path(tfmdn.__file__).parents[1]
# Each module, and the modules of the package that it imports: none but those above it.
LAYERS = {
    "validation": set(),
    "adaptation": set(),
    "files": set(),
    "distribution": set(),
    "checkpoints": {"files", "validation"},
    "datasets": {"validation"},
    "support": set(),
    "numerics": set(),
    "type_specs": set(),
    "intervals": {"numerics"},
    "reflection": {"intervals", "numerics", "type_specs"},
    "components": {"numerics", "reflection"},
    "families": {"components", "reflection", "type_specs", "validation"},
    "deviations": {"components", "numerics", "reflection"},
    "search": {"components", "intervals", "numerics", "reflection"},
    "regions": {"components", "numerics", "search"},
    "coordinates": {"components", "intervals", "numerics", "reflection", "validation"},
    "sklearn_mixtures": set(),
    "batching": {"components", "validation"},
    "tensor_like": {"components"},
    "mixture": {
        "batching",
        "components",
        "coordinates",
        "numerics",
        "regions",
        "search",
        "sklearn_mixtures",
        "tensor_like",
        "type_specs",
        "validation",
    },
    "merging": {"components", "mixture"},
    "starts": set(),
    "scores": {"batching", "components", "deviations", "mixture", "numerics", "validation"},
    "losses": {"components", "numerics", "scores", "validation"},
    "layers": {
        "adaptation",
        "components",
        "families",
        "mixture",
        "numerics",
        "starts",
        "support",
        "tensor_like",
        "validation",
    },
    "fallback": {"adaptation", "families", "merging", "mixture", "sklearn_mixtures", "validation"},
    "features": {"adaptation", "validation"},
    "metrics": {"losses", "mixture", "numerics", "scores", "sklearn_mixtures", "validation"},
    "health": {"components", "families", "layers", "mixture", "scores"},
    "callbacks": {"health", "layers", "validation"},
    "calibration": set(),
    "stacking": {"components", "mixture"},
    "ensemble": {
        "calibration",
        "components",
        "layers",
        "losses",
        "merging",
        "mixture",
        "scores",
        "stacking",
        "validation",
    },
    "early_stopping": {"ensemble", "validation"},
    "rows": set(),
    "training": {"rows", "validation"},
    "recipe": {
        "early_stopping",
        "ensemble",
        "families",
        "features",
        "intervals",
        "layers",
        "losses",
        "support",
        "training",
        "validation",
    },
    "estimator": {"components", "files", "mixture", "recipe", "validation"},
    "export": {"mixture"},
    "generation": {"mixture", "numerics", "validation"},
    "drawing": set(),
    "evaluation": {"components", "losses", "mixture", "scores", "validation"},
    "plots": {"drawing", "evaluation", "validation"},
}
# What an extra installs. The modules named import it when they are imported, the others when it is used.
OPTIONAL = {"sklearn": {"estimator"}, "pandas": set(), "matplotlib": set()}


def public_names(module):
    """The names of what a module offers: neither imported from elsewhere nor only there to be subclassed."""
    own = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    own = {name: value for name, value in own.items() if getattr(value, "__module__", "").startswith(module.__name__)}
    bases = {base for value in own.values() if isinstance(value, type) for base in value.__mro__[1:]}
    return sorted(name for name, value in own.items() if value not in bases)


PUBLIC = {
    **{name: getattr(tfmdn, name) for name in [*public_names(tfmdn), "MDNRegressor"]},
    **{f"features.{name}": getattr(tfmdn.features, name) for name in public_names(tfmdn.features)},
    **{f"metrics.{name}": getattr(tfmdn.metrics, name) for name in public_names(tfmdn.metrics)},
    **{f"plots.{name}": getattr(tfmdn.plots, name) for name in public_names(tfmdn.plots)},
}


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
    assert imported == LAYERS[module]
    assert imported <= set(list(LAYERS)[: list(LAYERS).index(module)])


@pytest.mark.parametrize("module", [*LAYERS, "__init__"])
def test_optional_packages_are_imported_where_they_are_used(module):
    tree = ast.parse((ROOT / "tfmdn" / f"{module}.py").read_text())
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = [alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in imports if isinstance(node, ast.ImportFrom)]
    packages = {name.partition(".")[0] for name in names}
    assert packages & set(OPTIONAL) == {package for package in OPTIONAL if module in OPTIONAL[package]}


def test_without_the_optional_packages():
    """Keras imports them where they are installed: only without them does it show that tfmdn does not need them."""
    script = f"""
        import sys
        sys.modules.update(dict.fromkeys({list(OPTIONAL)}))
        import tfmdn
        try:
            tfmdn.MDNRegressor
        except ImportError as error:
            print(error)
        try:
            tfmdn.MDNClassifier
        except AttributeError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "tfmdn.MDNRegressor needs scikit-learn: pip install 'tfmdn[sklearn]'.",
        "module 'tfmdn' has no attribute 'MDNClassifier'",
    ]


def test_the_public_names():
    assert list(PUBLIC) == [
        "BackupAndRestore",
        "CRPS",
        "ComponentHealth",
        "ComponentHealthWarning",
        "EnergyScore",
        "Ensemble",
        "EnsembleEarlyStopping",
        "MDNLayer",
        "MarginalFallback",
        "Mixture",
        "ModelCheckpoint",
        "MultiWorkerMirroredStrategy",
        "NegativeLogLikelihood",
        "PinballLoss",
        "crps",
        "energy_score",
        "export_saved_model",
        "fit",
        "generate",
        "merge",
        "negative_log_likelihood",
        "pinball_loss",
        "probability_integral_transform",
        "MDNRegressor",
        "features.NoiseRegularization",
        "features.PeriodicEmbedding",
        "features.PiecewiseLinearEmbedding",
        "features.Standardization",
        "metrics.CRPS",
        "metrics.CalibrationError",
        "metrics.EnergyScore",
        "metrics.IntervalCoverage",
        "metrics.IntervalWidth",
        "metrics.NegativeLogLikelihood",
        "metrics.PinballLoss",
        "metrics.SkillScore",
        "plots.components",
        "plots.density",
        "plots.draws",
        "plots.error_vectors",
        "plots.fan",
        "plots.hexbin",
        "plots.pit_histogram",
        "plots.reliability",
        "plots.slices",
        "plots.training_curves",
    ]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented(name):
    documentation = PUBLIC[name].__doc__
    assert "Args:" in documentation
    assert ">>>" in documentation


@pytest.mark.parametrize("file", ["README.md", "CHANGELOG.md"])
@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_listed(name, file):
    # As code: "fit", "merge" and others are words, too.
    code = re.findall(r"```.*?```|`[^`]+`", (ROOT / file).read_text(), re.DOTALL)
    assert re.search(rf"\b{name.rpartition('.')[2]}\b", "\n".join(code))


def test_version_is_in_the_changelog():
    assert f"## [{tfmdn.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
