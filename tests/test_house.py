"""The rules of the house: imports point one way, public names are documented, listed and tested."""

import ast
import graphlib
import pathlib
import re
import subprocess
import sys
import textwrap

import pytest

import tfmdn

ROOT = pathlib.Path(tfmdn.__file__).parents[1]
PACKAGE = ROOT / "tfmdn"
# Each room, a folder or a file, and the rooms that its files import: none but those above it.
ROOMS = {
    "tensorflow_internals": set(),
    "processes": {"tensorflow_internals"},
    "tfp_internals": {"processes", "tensorflow_internals"},
    "validation": set(),
    "files": set(),
    "archives": set(),
    "versions": set(),
    "numerics": {"processes", "tensorflow_internals"},
    "keras_internals": set(),
    "sklearn_internals": set(),
    "reading": set(),
    "datasets": {"validation"},
    "distributions": {"keras_internals", "numerics", "tensorflow_internals", "tfp_internals", "validation"},
    "scores": {"distributions", "keras_internals", "numerics", "validation"},
    "losses": {"keras_internals", "numerics", "scores", "validation", "versions"},
    "metrics": {"distributions", "keras_internals", "numerics", "reading", "scores", "validation", "versions"},
    "generation": {"distributions", "numerics", "processes", "validation"},
    "layers": {
        "distributions",
        "keras_internals",
        "numerics",
        "processes",
        "reading",
        "sklearn_internals",
        "tensorflow_internals",
        "validation",
        "versions",
    },
    "training": {"keras_internals", "layers", "numerics", "processes", "tensorflow_internals", "validation"},
    "ensembles": {
        "distributions",
        "keras_internals",
        "layers",
        "numerics",
        "processes",
        "scores",
        "validation",
        "versions",
    },
    "callbacks": {
        "archives",
        "distributions",
        "ensembles",
        "files",
        "keras_internals",
        "layers",
        "scores",
        "validation",
        "versions",
    },
    "plots": {"distributions", "files", "numerics", "scores", "validation"},
    "export": {
        "distributions",
        "ensembles",
        "files",
        "keras_internals",
        "layers",
        "processes",
        "tensorflow_internals",
        "versions",
    },
    "tabular": {
        "archives",
        "callbacks",
        "distributions",
        "ensembles",
        "export",
        "files",
        "layers",
        "losses",
        "metrics",
        "numerics",
        "plots",
        "processes",
        "reading",
        "scores",
        "training",
        "validation",
        "versions",
    },
    "integrations": {"distributions", "numerics", "tabular"},
}
# Where names are used that Keras, TFP and others keep to themselves.
INTERNALS = {"keras_internals", "sklearn_internals", "tensorflow_internals", "tfp_internals"}
# What an extra installs. The modules named import it when they are imported, the others when it is used.
OPTIONAL = {
    "sklearn": {
        "integrations.skpro",
        "tabular.answers",
        "tabular.inputs",
        "tabular.regressor",
        "tabular.storage",
        "tabular.targets",
    },
    "pandas": {"integrations.skpro"},
    "matplotlib": set(),
    "onnx": set(),
    "tf2onnx": set(),
    "narwhals": set(),
    "skpro": set(),
    "threadpoolctl": set(),
}
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text())
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imports_of(module):
    """The package's modules that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "relative import"
            # Of a folder a module or a name may be imported: the first of these that is a module.
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    names = {name.removeprefix("tfmdn.") for name in names if name.startswith("tfmdn.")}
    return {name if name in MODULES else name.rpartition(".")[0] for name in names}


def public_names(module):
    """The names of what a module offers, in order."""
    own = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    own = {name: own[name] for name in getattr(module, "__all__", own)}
    own = {name: value for name, value in own.items() if getattr(value, "__module__", "").startswith("tfmdn")}
    return sorted(own)


NAMESPACES = ["callbacks", "distributions", "ensembles", "export", "features", "layers", "losses", "metrics", "plots"]
NAMESPACES += ["scores", "training"]
PUBLIC = {name: getattr(tfmdn, name) for name in [*public_names(tfmdn), "MDNRegressor"]} | {
    f"{namespace}.{name}": getattr(getattr(tfmdn, namespace), name)
    for namespace in NAMESPACES
    for name in public_names(getattr(tfmdn, namespace))
}


def own_names(tree):
    """What a module defines, in any way: functions, arguments and what is assigned to."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield f"_{node.arg}"  # `setattr(self, f"_{name}", value)`
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node.attr


def used_names(tree):
    """The names of attributes that a module reads and sets, of its own objects and of others."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr", "setattr", "delattr"):
            yield getattr(node.args[1], "value", "")


def test_what_others_keep_private_is_used_in_one_place():
    of_named_tuples = {"_replace", "_asdict", "_fields"}
    own = {name for tree in MODULES.values() for name in own_names(tree)} | of_named_tuples
    places = {
        (module, name)
        for module in set(MODULES) - INTERNALS
        for name in used_names(MODULES[module])
        if re.match("_(?!_|tfmdn_)", str(name)) and name not in own
    }
    assert places == set()
    inner = r"keras\.src|tensorflow\.(lite\.)?python"
    assert {module for module, tree in MODULES.items() if re.search(inner, ast.unparse(tree))} <= INTERNALS


def test_every_module_has_its_place():
    assert {module.partition(".")[0] for module in MODULES} == {*ROOMS, "__init__"}


@pytest.mark.parametrize("room", ROOMS)
def test_imports_between_rooms_point_one_way(room):
    imported = set().union(*(imports_of(module) for module in MODULES if module.partition(".")[0] == room))
    rooms = {module.partition(".")[0] for module in imported} - {room}
    assert rooms == ROOMS[room]
    assert rooms <= set(list(ROOMS)[: list(ROOMS).index(room)])


def test_no_circles_between_files():
    # A folder's __init__ gathers the names of its files, which import each other and never the folder.
    files = [module for module in MODULES if not (PACKAGE / module.replace(".", "/")).is_dir() and module != "__init__"]
    imported = {module: imports_of(module) for module in files}
    assert set().union(*imported.values()) <= set(files)
    graphlib.TopologicalSorter(imported).prepare()


@pytest.mark.parametrize("module", MODULES)
def test_optional_packages_are_imported_where_they_are_used(module):
    imports = [node for node in MODULES[module].body if isinstance(node, (ast.Import, ast.ImportFrom))]
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
    by_namespace = {}
    for name in PUBLIC:
        namespace, _, own = name.rpartition(".")
        by_namespace.setdefault(namespace, []).append(own)
    assert {namespace: " ".join(names) for namespace, names in by_namespace.items()} == {
        "": "BackupAndRestore CRPS ComponentHealth ComponentHealthWarning EnergyScore Ensemble EnsembleEarlyStopping "
        "MDNLayer MarginalFallback Mixture ModelCheckpoint MultiWorkerMirroredStrategy NegativeLogLikelihood "
        "PinballLoss as_tensors crps energy_score export_litert export_onnx export_saved_model fit generate merge "
        "negative_log_likelihood "
        "pinball_loss probability_integral_transform read_table MDNRegressor",
        "callbacks": "BackupAndRestore ComponentHealth ComponentHealthWarning EnsembleEarlyStopping ModelCheckpoint",
        "distributions": "CoarsenedNormal Mixture ReflectedMultivariateNormal ReflectedNormal merge",
        "ensembles": "Ensemble",
        "export": "as_tensors categories export_litert export_onnx export_saved_model",
        "features": "Calendar CategoryEmbedding CategoryIndicators DateParsing Imputation MissingIndicator "
        "NoiseRegularization PeriodicEmbedding PiecewiseLinearEmbedding Products Standardization TreeEmbedding",
        "layers": "Calendar CategoryEmbedding CategoryIndicators DateParsing Extrapolation Imputation MDNLayer "
        "MarginalFallback MissingIndicator NoiseRegularization PeriodicEmbedding PiecewiseLinearEmbedding Products "
        "Standardization TreeEmbedding",
        "losses": "CRPS EnergyScore NegativeLogLikelihood PinballLoss",
        "metrics": "CRPS CalibrationError EnergyScore IntervalCoverage IntervalWidth NegativeLogLikelihood PinballLoss "
        "SkillScore",
        "plots": "components density draws error_vectors explorer fan hexbin joint_density pit_histogram reliability "
        "slices training_curves",
        "scores": "crps energy_score negative_log_likelihood pinball_loss probability_integral_transform",
        "training": "MultiWorkerMirroredStrategy fit",
    }


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented(name):
    documentation = PUBLIC[name].__doc__
    assert "Args:" in documentation
    assert ">>>" in documentation


PAGES = {
    "the changelog": (ROOT / "CHANGELOG.md").read_text(),
    "a page": "\n".join(path.read_text() for path in sorted((ROOT / "docs").rglob("*.md"))),
}
# As code: "fit", "merge" and others are words, too.
CODE = {file: "\n".join(re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL)) for file, text in PAGES.items()}


@pytest.mark.parametrize("file", PAGES)
@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_listed(name, file):
    """The reference has all of them by itself (tests/test_site.py); somebody must have said what they are for, too."""
    assert re.search(rf"\b{name.rpartition('.')[2]}\b", CODE[file])


def test_readme_is_one_screen():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 75


def test_version_is_in_the_changelog():
    assert f"## [{tfmdn.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_contributing_names_what_there_is():
    code = re.findall(r"`([^`\n]+)`", (ROOT / "CONTRIBUTING.md").read_text())
    paths = [word for word in code if re.fullmatch(r"[\w./]+", word) and ("/" in word or word.endswith((".py", ".md")))]
    assert len(paths) > 40
    assert [path for path in paths if not (ROOT / path).exists() and path != "utils.py"] == []
    rows = re.findall(r"^\| an? [^|]+ \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert len(rows) >= 10


@pytest.mark.parametrize("folder", sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
def test_a_folder_says_what_its_files_are_for(folder):
    documentation = ast.get_docstring(MODULES[folder])
    files = {path.stem for path in (PACKAGE / folder).glob("*.py")} - {"__init__"}
    assert files - set(re.findall(r"`(\w+)`", documentation)) == set()
