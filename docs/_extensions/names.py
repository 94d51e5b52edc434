"""The public names of tfmdn, as its own `__init__`s and `__all__`s list them: what the reference holds.

A name is public where tfmdn imports it as itself (`from tfmdn.layers import MDNLayer as MDNLayer`), and so is what the
modules offer that it imports so. Integrations are read, not imported: they need their packages.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import inspect
import pathlib
import types
from typing import Any

import tfmdn

INTEGRATIONS = "integrations"


@dataclasses.dataclass(frozen=True)
class Name:
    """A public object.

    Attributes:
      group: the module of tfmdn that it belongs to, such as "layers".
      path: the shortest of its names, such as "tfmdn.MDNLayer".
      others: its other public names.
      docstring: what it says of itself.
      value: the object; None for those that are not imported.
    """

    group: str
    path: str
    others: tuple[str, ...]
    docstring: str
    value: Any

    @property
    def is_class(self) -> bool:
        return isinstance(self.value, type) or (self.value is None and self.path.rpartition(".")[2][0].isupper())


def imported_as_themselves(module: types.ModuleType) -> list[tuple[str, str]]:
    """The names that a module imports as themselves, each with the module that it comes from."""
    nodes = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.ImportFrom)]
    return [(alias.name, node.module) for node in nodes for alias in node.names if alias.name == alias.asname]


def offered(module: types.ModuleType) -> list[str]:
    """What a module of the package offers."""
    own = getattr(module, "__all__", None) or [name for name, _ in imported_as_themselves(module)]
    return [name for name in own if not isinstance(getattr(module, name), types.ModuleType)]


@functools.cache
def groups() -> dict[str, types.ModuleType]:
    """The modules of tfmdn that are public, in order."""
    modules = {name: getattr(tfmdn, name) for name, _ in imported_as_themselves(tfmdn)}
    return {name: module for name, module in sorted(modules.items()) if isinstance(module, types.ModuleType)}


@functools.cache
def public() -> tuple[Name, ...]:
    """All of them, in order of their groups, and in these of their names."""
    found: dict[int, list[str]] = {}  # the group, and the names
    values = {}

    def add(value: Any, group: str, path: str) -> None:
        if not isinstance(value, types.ModuleType):
            values[id(value)] = value
            found.setdefault(id(value), [group]).append(path)

    for group, module in groups().items():
        for name in offered(module):
            add(getattr(module, name), group, f"tfmdn.{group}.{name}")
    for name, origin in imported_as_themselves(tfmdn):
        add(getattr(tfmdn, name), origin.partition(".")[2].partition(".")[0], f"tfmdn.{name}")
    listed = integrated()
    for key, (group, *paths) in found.items():
        path = min(paths, key=lambda path: path.count("."))
        others = tuple(sorted({*paths} - {path}))
        listed.append(Name(group, path, others, inspect.getdoc(values[key]) or "", values[key]))
    return tuple(sorted(listed, key=lambda name: (name.group, name.path.rpartition(".")[2].lower())))


def pages() -> dict[str, list[Name]]:
    """The names on each page of the reference, by the page, which is a group."""
    found: dict[str, list[Name]] = {}
    for name in public():
        found.setdefault(name.group, []).append(name)
    return found


def integrated() -> list[Name]:
    """The public classes and functions of the files of `tfmdn.integrations`."""
    (folder,) = importlib.import_module(f"tfmdn.{INTEGRATIONS}").__path__
    return [
        Name(INTEGRATIONS, f"tfmdn.{INTEGRATIONS}.{file.stem}.{node.name}", (), ast.get_docstring(node) or "", None)
        for file in sorted(pathlib.Path(folder).glob("[a-z]*.py"))
        for node in ast.parse(file.read_text()).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_")
    ]


def members(value: type) -> list[str]:
    """The methods and properties of a class that the package itself documents, those of its own bases included."""
    found: dict[str, bool] = {}
    for base in value.__mro__:
        for name, member in vars(base).items() if base.__module__.startswith("tfmdn") else ():
            member = getattr(member, "__func__", getattr(member, "fget", member))
            is_own = callable(member) and (getattr(member, "__module__", None) or "").startswith("tfmdn")
            if is_own and not name.startswith("_") and not isinstance(member, type):
                found.setdefault(name, bool((member.__doc__ or "").strip()))
    return sorted(name for name, documented in found.items() if documented)


@functools.cache
def paths() -> dict[str, str]:
    """The path of each public object by all of its names, also that of where it is defined; of methods likewise."""
    found = {}
    for name in public():
        defined = [f"{name.value.__module__}.{name.value.__qualname__}"] if name.value is not None else []
        for other in (name.path, *name.others, *defined):
            found[other] = name.path
            if isinstance(name.value, type):
                found |= {f"{other}.{member}": f"{name.path}.{member}" for member in members(name.value)}
    return found


def exists(path: str) -> bool:
    """Whether the package has what is called so, public or not."""
    module, _, name = path.rpartition(".")
    try:
        value = importlib.import_module(module)
    except (ImportError, ValueError):  # none of that name, and no name at all
        return False
    return hasattr(value, name)
