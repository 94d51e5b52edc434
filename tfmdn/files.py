"""Files and folders that are replaced by complete ones only, whoever else writes to the same path or is killed.

What is to stand at a path is written in a draft: a folder beside it whose name says which process it is of. When it is
complete it takes its place in one step. Drafts of processes that are gone are removed by the next that writes there.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import hashlib
import os
import pathlib
import re
import shutil
import socket
import stat
import tempfile
import time
import warnings
from collections.abc import Iterator

# Of a draft: the machine, the process and when it began; tempfile adds what is random.
NAME = re.compile(r"\.tfmdn-draft-([0-9a-f]{8})-(\d+)-(\d+)-.+")
# After so many seconds without a change a draft of a process that cannot be asked for, on another machine, is stale.
OLD = 24 * 60 * 60
EARLIER = "earlier"  # in a draft: the folder of what stood at the path
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux


@contextlib.contextmanager
def replacement(path: str | os.PathLike, suffix: str = "") -> Iterator[pathlib.Path]:
    """A path to write to, whose file takes the place of the one at `path` when the block ends.

    If the block raises, as on a full disk, or the process is killed in it, the file at `path` stays as it was. Several
    may write to the same path: each time one of their files stands there. A file that is replaced hands on its
    permissions, and a symbolic link stays and leads to the new file.

    Args:
      path: the file to replace.
      suffix: what the name to write to must end with, if that of `path` may not.

    Raises:
      FileNotFoundError, IsADirectoryError, PermissionError, ValueError: see `require_writable`.
    """
    target = require_writable(path)
    with _draft_folder(target.parent) as folder:
        draft = folder / (f"draft{suffix}" if suffix else target.name)
        yield draft
        _synchronize(draft)
        _hand_on_permissions(target, draft)
        _replace(draft, target)


@contextlib.contextmanager
def folder_replacement(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A path for a folder, which takes the place of the one at `path` when the block ends.

    Where the system can exchange two folders in one step, there is a complete one at `path` at any time. Elsewhere
    nothing is there for a moment; if the process is killed in it, the next that writes beside it puts the earlier
    folder back, and says so.

    Args:
      path: the folder to replace, whose parent exists.

    Raises:
      OSError: if nothing can be written beside it.
    """
    target = _resolved(path)
    with _draft_folder(target.parent) as folder:
        draft = folder / "draft"
        yield draft
        for file in draft.rglob("*"):
            if file.is_file():
                _synchronize(file)
        _hand_on_permissions(target, draft)
        _exchange(draft, target, folder / EARLIER / target.name)


def require_writable(path: str | os.PathLike) -> pathlib.Path:
    """Where a file is to be written; for what takes long before it writes.

    Returns:
      The path without symbolic links.

    Raises:
      FileNotFoundError: if its folder does not exist.
      IsADirectoryError: if it is a folder.
      PermissionError: if the file or its folder is not to be written to.
      ValueError: if it is neither a file nor a folder, but a device or a pipe.
    """
    target = _resolved(path)
    received = f"Received: path={os.fspath(path)!r}"
    if not target.parent.is_dir():
        code = errno.ENOTDIR if target.parent.exists() else errno.ENOENT
        raise OSError(code, f"There is no folder {str(target.parent)!r} to write to: make it before. {received}")
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, f"Expected the path of a file, and there is a folder. {received}")
    if target.exists() and not target.is_file():
        raise ValueError(f"Expected the path of a file, and it is a device, a pipe or a socket. {received}.")
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(
            errno.EACCES,
            f"Files are written beside the one that they replace, and the folder {str(target.parent)!r} is not to be "
            f"written to: give a path elsewhere. {received}",
        )
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, f"The file is not to be written to. {received}")
    return target


def _resolved(path: str | os.PathLike) -> pathlib.Path:
    return pathlib.Path(os.path.realpath(os.fsdecode(path)))


# Drafts


@contextlib.contextmanager
def _draft_folder(parent: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder for a draft of this process alone, which is removed when the block ends."""
    sweep(parent)
    process = os.getpid()
    prefix = f".tfmdn-draft-{_machine()}-{process}-{_birth(process)}-"
    try:
        folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    except OSError as error:
        raise OSError(error.errno, f"Cannot write to the folder: {error.strerror}", str(parent)) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: pathlib.Path) -> None:
    """Removes what processes that are gone have left in a folder; what they had taken away goes back to its place."""
    try:
        with os.scandir(parent) as entries:
            found = [(NAME.fullmatch(entry.name), pathlib.Path(entry.path)) for entry in entries]
    except OSError:  # a folder that may be written to, but not read
        return
    for name, draft in found:
        if name and _is_stale(draft, *name.groups()):
            for folder in draft.glob(f"{EARLIER}/*"):
                _put_back(folder, parent / folder.name)
            shutil.rmtree(draft, ignore_errors=True)


def _put_back(folder: pathlib.Path, path: pathlib.Path) -> None:
    if path.exists():
        return
    with contextlib.suppress(OSError):  # another process was faster
        os.rename(folder, path)
        message = f"A process was killed while it replaced {str(path)!r}: what had been there is there again."
        warnings.warn(message, stacklevel=2)


def _is_stale(draft: pathlib.Path, machine: str, process: str, birth: str) -> bool:
    if machine == _machine() and os.name != "nt":
        return not _lives(int(process), birth)
    try:
        changed = max(path.stat().st_mtime for path in (draft, *draft.rglob("*")))
    except OSError:  # it goes just now
        return False
    return time.time() - changed > OLD


@functools.cache
def _machine() -> str:
    """What tells apart where numbers of processes count anew: machines, their starts, containers."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # not Linux
        parts.append(pathlib.Path("/proc/sys/kernel/random/boot_id").read_text())
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:8]


def _birth(process: int) -> str:
    """When a process began, in ticks since the machine's start: "0" if it has ended, or outside of Linux."""
    try:
        # The name, in parentheses, may hold anything.
        fields = pathlib.Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return "0"
    return "0" if fields[0] in (b"Z", b"X") else fields[19].decode()


def _lives(process: int, birth: str) -> bool:
    if birth != "0":
        return _birth(process) == birth  # the number may be another process's by now
    try:
        os.kill(process, 0)  # which does nothing
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        pass
    return True


# Taking the place


def _synchronize(path: pathlib.Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())  # network disks only say here that they are full


def _hand_on_permissions(target: pathlib.Path, draft: pathlib.Path) -> None:
    try:
        earlier = target.stat()
    except FileNotFoundError:
        return
    with contextlib.suppress(OSError, AttributeError):  # root may do so
        os.chown(draft, earlier.st_uid, earlier.st_gid)
    with contextlib.suppress(OSError):  # disks without permissions
        os.chmod(draft, stat.S_IMODE(earlier.st_mode))


def _replace(draft: pathlib.Path, target: pathlib.Path) -> None:
    for pause in (0.01, 0.1, 1.0):
        try:
            return os.replace(draft, target)
        except PermissionError:
            if os.name != "nt":
                raise
            time.sleep(pause)  # Windows replaces no file that somebody is reading
    os.replace(draft, target)


def _exchange(draft: pathlib.Path, target: pathlib.Path, earlier: pathlib.Path) -> None:
    """Puts a folder in its place. Where it cannot change places with what is there, that goes to `earlier` before."""
    for _ in range(100):  # times that another process may come between two steps
        if target.exists():
            if _exchanged(draft, target):
                return
            shutil.rmtree(earlier, ignore_errors=True)
            earlier.parent.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                os.rename(target, earlier)
        try:
            return os.rename(draft, target)
        except OSError:
            if target.exists():
                continue
            if earlier.exists():
                os.rename(earlier, target)
            raise
    raise OSError(errno.EBUSY, "Other processes write there all the time", str(target))


def _exchanged(first: pathlib.Path, second: pathlib.Path) -> bool:
    """Lets two paths change places in one step, if the system and the disk can. Returns whether they have."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux
        return False
    return rename(AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second), RENAME_EXCHANGE) == 0
