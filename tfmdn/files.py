"""Files that are replaced by complete ones only."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator


@contextlib.contextmanager
def replacement(path: str | os.PathLike, suffix: str = "") -> Iterator[pathlib.Path]:
    """A path to write to, whose file takes the place of the one at `path` when the block ends.

    If the block raises, as on a full disk, or the process is killed in it, the file at `path` stays as it was.

    Args:
      path: the file to replace.
      suffix: what the name to write to must end with, if `path` does not.
    """
    path = pathlib.Path(path)
    # A fixed name, so that the next process overwrites what a killed one has left.
    draft = path.with_name(f".draft-{path.name}{suffix}")
    try:
        yield draft
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())  # network disks only say here that they are full
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
