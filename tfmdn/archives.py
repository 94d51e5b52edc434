"""Zip archives that are read with care: they may be of another kind, damaged, cut off, or far larger than they seem."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

# What zipfile and what it is made of raise when bytes are not as they should be.
DAMAGE = (
    AttributeError,
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
# tfmdn and Keras store without compressing; somebody may have packed it anew. Beyond so many times the size, from so
# many bytes on, it is made to fill the memory.
EXPANSION, HARMLESS = 50, 1_000_000
ADVICE = "Copy it anew from where it is whole, or write it anew"


@contextlib.contextmanager
def opened(path: str | os.PathLike, kind: str) -> Iterator[tuple[BinaryIO, zipfile.ZipFile]]:
    """A file and the archive in it, all of whose parts are as they were written.

    Args:
      path: the file.
      kind: what it is to be, such as "a file that MDNRegressor.save wrote".

    Raises:
      FileNotFoundError: if there is none.
      ValueError: if it is not an archive, or damaged.
    """
    received = f"Received: path={os.fspath(path)!r}."
    if pathlib.Path(path).is_dir():
        hint = (
            " A SavedModel is read by tf.saved_model.load." if (pathlib.Path(path) / "saved_model.pb").exists() else ""
        )
        raise ValueError(f"Expected {kind}, and it is a folder.{hint} {received}")
    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, f"There is no such file. Expected {kind}", os.fspath(path))
    if not pathlib.Path(path).is_file():
        raise ValueError(f"Expected {kind}, and it is a device, a pipe or a socket. {received}")
    with open(path, "rb") as file:
        start = file.read(4)
        if start and not start.startswith(b"PK"):
            raise ValueError(f"Expected {kind}, and it is of another kind. {received}")
        with archive_in(file, received) as archive:
            yield file, archive


@contextlib.contextmanager
def archive_in(file: BinaryIO, received: str) -> Iterator[zipfile.ZipFile]:
    """The archive in an open file, once all of its parts have been read and found whole.

    Args:
      file: at any place.
      received: what is said of the file at the end of an error.

    Raises:
      ValueError: if it is damaged.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if not size:
        raise ValueError(f"The file is empty. {ADVICE}. {received}")
    try:
        archive = zipfile.ZipFile(file)
    except DAMAGE as error:
        raise ValueError(
            "The file is damaged: it is cut off, or its list of contents is not as it was written. "
            f"{ADVICE}. {received}"
        ) from error
    with archive:
        _require_honest_sizes(archive, size, received)
        _require_whole_parts(archive, received)
        yield archive


def _require_honest_sizes(archive: zipfile.ZipFile, size: int, received: str) -> None:
    parts = archive.infolist()
    if sum(part.compress_size for part in parts) > size:
        raise ValueError(f"The file is damaged: its parts are larger than the whole. {ADVICE}. {received}")
    for part in parts:
        if part.file_size > max(HARMLESS, EXPANSION * part.compress_size):
            raise ValueError(
                f"The file is refused: {part.filename} in it has {part.compress_size:,} bytes and would unpack to "
                f"{part.file_size:,}, which neither tfmdn nor Keras writes. {ADVICE}. {received}"
            )


def _require_whole_parts(archive: zipfile.ZipFile, received: str) -> None:
    for part in archive.infolist():
        try:
            with archive.open(part) as content:
                while content.read(1 << 20):
                    pass
        except DAMAGE as error:
            raise ValueError(
                f"The file is damaged: {part.filename} in it is not as it was written. {ADVICE}. {received}"
            ) from error


def json_of(archive: zipfile.ZipFile, name: str, received: str) -> Any:
    """What a part of an archive says as JSON.

    Raises:
      ValueError: if it is not JSON.
    """
    try:
        return json.loads(archive.read(name))
    except (ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"The file is damaged: {name} in it is not JSON. {ADVICE}. {received}") from error


def copy(file: BinaryIO, path: pathlib.Path) -> None:
    """Copies an open file, whatever is at its path by now."""
    file.seek(0)
    with open(path, "wb") as target:
        shutil.copyfileobj(file, target)
