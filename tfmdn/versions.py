"""Which tfmdn wrote a file, and what is said of files that another one wrote."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Collection
from typing import TypeVar

import keras

Saved = TypeVar("Saved", bound=type)

VERSION = "0.1.0"
# Of what stands in files beside what Keras writes. A greater number is of a file that this version cannot read.
FORMAT = 1
STAMP = "written_by"


class OtherVersionError(ValueError):
    """A file or a config is of another version of tfmdn, or has been changed.

    Attributes:
      finding: a sentence of what is otherwise, without what to do.
    """

    def __init__(self, message: str, finding: str = ""):
        super().__init__(message)
        self.finding = finding or message


def stamp() -> dict[str, str | int]:
    """What files say of the tfmdn that wrote them."""
    return {"tfmdn": VERSION, "format": FORMAT, "keras": keras.__version__}


def check_format(writer: dict, received: str) -> None:
    """Raises if a file is of a newer format.

    Args:
      writer: its stamp; an empty one if it has none, as files had before there were stamps.
      received: what is said of the file at the end of the error.

    Raises:
      OtherVersionError: if it is.
    """
    if not isinstance(writer, dict) or not isinstance(writer.get("format", FORMAT), int):
        raise OtherVersionError(f"The file does not say which version wrote it in a way that is known. {received}")
    if writer.get("format", FORMAT) > FORMAT:
        raise OtherVersionError(
            f"The file is of format {writer['format']}, which this version cannot read. {story(writer)} {received}"
        )


def story(writer: dict) -> str:
    """Which versions a file was written with and is read by, and what to do if it cannot be read, in sentences."""
    if "tfmdn" not in writer:
        return f"It does not say which tfmdn wrote it, and is read by tfmdn {VERSION}: {_remedy(None)}."
    written = f"tfmdn {writer['tfmdn']}" + (f" with Keras {writer['keras']}" if "keras" in writer else "")
    here = f"tfmdn {VERSION} with Keras {keras.__version__}"
    return f"It was written by {written}, and is read by {here}: {_remedy(str(writer['tfmdn']))}."


def _remedy(version: str | None) -> str:
    if version == VERSION:
        return "import what defines its layers, if they are your own; else it has been changed, so write it anew"
    if version is not None and _numbers(version) > _numbers(VERSION):
        return f"update tfmdn, as by pip install 'tfmdn>={version}'"
    return "read it with the version that wrote it, or fit and save the model anew"


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def saved(name: str | None = None, beside: Collection[str] = ()) -> Callable[[Saved], Saved]:
    """A decorator of classes that Keras saves and loads by their configs, as tfmdn's.

    A config with an argument that this version does not know, or without one that it needs, is refused in words that
    name the version. What layers are built by says which version it was.

    Args:
      name: the name in files, that of the class by default.
      beside: keys of the config that are no arguments.
    """

    def register(cls: Saved) -> Saved:
        read = cls.from_config.__func__

        @functools.wraps(read)
        def from_config(kind, config, *args, **kwargs):
            try:
                return read(kind, config, *args, **kwargs)
            except (KeyError, TypeError, ValueError) as error:
                _raise_other_version(kind, config, beside, error)
                raise

        cls.from_config = classmethod(from_config)
        if issubclass(cls, keras.layers.Layer) and not issubclass(cls, keras.Model):
            _say_version(cls)
        return keras.saving.register_keras_serializable(package="tfmdn", name=name)(cls)

    return register


def _say_version(cls: type[keras.layers.Layer]) -> None:
    describe = cls.get_build_config

    @functools.wraps(describe)
    def get_build_config(self):
        config = describe(self)
        return config and {**config, "tfmdn": VERSION}

    cls.get_build_config = get_build_config


def _raise_other_version(kind: type, config: dict, beside: Collection[str], error: Exception) -> None:
    """Raises if it is because of the names in a config that an object cannot be made of it."""
    # What Bidirectional adds to the config of any layer: Keras itself says then that it is no recurrent one.
    if isinstance(error, OtherVersionError) or "go_backwards" in config:
        return
    known, needed = _arguments(kind)
    found = differences(config, {*known, *beside}, [*needed, *beside])
    if found:
        finding = f"The config of this {kind.__name__} {found}, unlike those of tfmdn {VERSION} with Keras"
        raise OtherVersionError(
            f"{finding} {keras.__version__}: it is of another version of either, probably a newer one, or has been "
            "changed. Update tfmdn (pip install -U tfmdn), or save the model anew by this version. "
            f"Received: config with the keys {', '.join(map(repr, config))}.",
            f"{finding} {keras.__version__}.",
        ) from error


def differences(names: Collection[str], known: Collection[str], needed: Collection[str]) -> str:
    """Which names are not known and which are missing: "has 'a' and lacks 'b'", or an empty text."""
    unknown = [name for name in names if name not in known]
    missing = [name for name in needed if name not in names]
    lists = {"has": unknown, "lacks": missing}
    return " and ".join(f"{word} {', '.join(map(repr, found))}" for word, found in lists.items() if found)


def _arguments(kind: type) -> tuple[set[str], set[str]]:
    """The names of the arguments that a class takes, its base classes' with them, and of those that it needs."""
    bases = [base for base in kind.__mro__ if "__init__" in vars(base)]
    arguments = [list(inspect.signature(base.__init__).parameters.values())[1:] for base in bases]
    if all(argument.kind != argument.VAR_KEYWORD for argument in arguments[0]):
        del arguments[1:]  # it hands nothing on
    others = {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    named = [[argument for argument in each if argument.kind not in others] for each in arguments]
    known = {argument.name for each in named for argument in each}
    return known, {argument.name for argument in named[0] if argument.default is argument.empty}
