"""Files and folders that are replaced: by several at once, by processes that are killed, and with what is kept."""

import contextlib
import os
import pathlib
import re
import signal
import stat
import tempfile
import threading
import time
import warnings

import pytest

from tfmdn import files

# Several writers

WRITE = """
import sys
from tfmdn import files
for number in range(40):
    with files.replacement(sys.argv[1]) as draft:
        draft.write_bytes(bytes([number]) * 100_000)
"""


def test_a_reader_sees_a_whole_file_whoever_writes(processes, tmp_path):
    path, results, reads = tmp_path / "file", [], 0
    path.write_bytes(bytes(100_000))
    writers = threading.Thread(target=lambda: results.extend(processes.run(WRITE, path, num_workers=2)))
    writers.start()
    while writers.is_alive() and not path.read_bytes()[0]:  # they take seconds to start
        time.sleep(0.002)
    while writers.is_alive():
        content = path.read_bytes()
        assert (len(content), len(set(content))) == (100_000, 1)
        reads += 1
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 2
    assert reads > 10
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_threads_write_to_one_path(tmp_path):
    path, errors = tmp_path / "file", []

    def write(number):
        try:
            with files.replacement(path) as draft:
                draft.write_bytes(bytes([number]) * 50_000)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(set(path.read_bytes())) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


# Kills: before each step that the operating system is asked for, one after the other

KILLED = """
import os, pathlib, signal, sys
from tfmdn import files

kind, path, place, knows_exchange = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "True"
if not knows_exchange:
    files._exchanged = lambda first, second: False
exchanged = files._exchanged


def counted(first, second):
    step("exchange", (first,))
    return exchanged(first, second)


files._exchanged = counted
steps = 0


def step(event, arguments):
    global steps
    if event in STEPS and str(path.parent) in str(arguments[0]):
        if steps == place:
            os.kill(os.getpid(), signal.SIGKILL)
        steps += 1


STEPS = {"open", "exchange", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.scandir", "os.listdir"}
sys.addaudithook(step)
if kind == "file":
    with files.replacement(path) as draft:
        draft.write_bytes(b"new" * 10_000)
        draft.write_bytes(b"new" * 20_000)
else:
    with files.folder_replacement(path) as draft:
        draft.mkdir()
        for name in ("a", "b"):
            (draft / name).write_bytes(b"new" * 10_000)
"""


def content(path):
    if path.is_dir():
        return {entry.name: entry.read_bytes() for entry in path.iterdir()}
    return path.read_bytes()


def put_earlier(kind, path):
    if kind == "file":
        path.write_bytes(b"old")
    else:
        path.mkdir()
        (path / "c").write_bytes(b"old")


NEW = {"file": b"new" * 20_000, "folder": dict.fromkeys("ab", b"new" * 10_000)}


CASES = {  # what, whether the disk knows how to exchange two folders, and whether there is none before
    "file": ("file", True, False),
    "folder": ("folder", True, False),
    "folder by two steps": ("folder", False, False),
    "first folder": ("folder", True, True),
}


@pytest.mark.parametrize("case", CASES)
def test_a_kill_at_any_step_leaves_a_whole_one(processes, tmp_path, case):
    kind, knows_exchange, is_first = CASES[case]
    seen, recovered = set(), 0
    for place in range(200):
        folder = tmp_path / str(place)
        folder.mkdir()
        path = folder / "target"
        if not is_first:
            put_earlier(kind, path)
        old = None if is_first else content(path)
        (result,) = processes.run(KILLED, kind, path, place, knows_exchange)
        if not path.exists() and not is_first:
            assert not knows_exchange
            with pytest.warns(UserWarning, match=f"killed while it replaced '{re.escape(str(path))}'"):
                files.sweep(folder)
            recovered += 1
        found = content(path) if path.exists() else None
        assert found in (old, NEW[kind])
        seen.add(str(found)[:40])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            files.sweep(folder)
        assert [entry.name for entry in folder.iterdir()] == ([] if found is None else ["target"])
        if result.returncode == 0:
            break
        assert result.returncode == -signal.SIGKILL, result.stderr
    else:
        pytest.fail("it does not end")
    assert place > 8
    assert len(seen) == 2
    assert recovered == (not knows_exchange)


# Drafts that others have left


@pytest.mark.parametrize("machine", ["this", "another"])
def test_stale_drafts_are_swept_and_no_others(tmp_path, machine):
    machine = files._machine() if machine == "this" else "0123abcd"
    mine = (os.getpid(), files._birth(os.getpid()))
    ended = os.fork()
    if not ended:
        os._exit(0)
    os.waitpid(ended, 0)
    drafts = {"lives": mine, "ended": (ended, 123), "number of another": (mine[0], 123)}
    for age in ("fresh", "old"):
        for name, (process, birth) in drafts.items():
            draft = tmp_path / f".tfmdn-draft-{machine}-{process}-{birth}-{age} {name}"
            draft.mkdir()
            (draft / "file").write_text("half")
            if age == "old":
                for path in (draft / "file", draft):
                    os.utime(path, (0, 0))
    others = [".tfmdn-draft-mine", ".draft-file", "tfmdn-draft-0123abcd-1-2-x"]
    for name in others:
        (tmp_path / name).mkdir()
    with files.replacement(tmp_path / "file") as draft:
        draft.write_text("whole")
    left = {entry.name for entry in tmp_path.iterdir()} - {"file", *others}
    assert (tmp_path / "file").read_text() == "whole"
    assert all((tmp_path / name).exists() for name in others)
    left = sorted(name.rpartition("-")[2] for name in left)
    expected = ["fresh lives", "old lives"] if machine == files._machine() else [f"fresh {name}" for name in drafts]
    assert left == sorted(expected)


# What is kept, and what is refused


def write(path, text="new"):
    with files.replacement(path) as draft:
        draft.write_text(text)


def test_permissions_and_links_are_kept(tmp_path):
    path, link, dangling = tmp_path / "file", tmp_path / "link", tmp_path / "dangling"
    before = os.umask(0o027)
    try:
        write(path)
        with files.folder_replacement(tmp_path / "folder") as draft:
            draft.mkdir()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750
    path.chmod(0o604)
    (tmp_path / "elsewhere").mkdir()
    link.symlink_to("file")
    dangling.symlink_to("elsewhere/to be")
    write(link, "by the link")
    write(dangling)
    assert path.read_text() == "by the link"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert link.is_symlink()
    assert (tmp_path / "elsewhere" / "to be").read_text() == "new"
    write(os.fsencode(path), "by bytes")
    assert path.read_text() == "by bytes"
    name = tmp_path / ("ü" * 127)  # the longest
    with files.replacement(name, suffix=".keras") as draft:
        assert draft.suffix == ".keras"
        draft.write_text("new")
    assert name.exists()


def write_half(path, error):
    with files.replacement(path) as draft:
        draft.write_text("half")
        raise error


def test_a_failure_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "file"
    write(path)
    for error in (OSError, KeyboardInterrupt, ValueError):
        with pytest.raises(error):
            write_half(path, error)
        with pytest.raises(FileNotFoundError), files.replacement(path):
            pass  # nothing was written
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_path_of_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("precious")
    refused = {
        "missing/file": (FileNotFoundError, r"There is no folder '.*missing' .*Received: path='.*missing/file'"),
        "file/file": (NotADirectoryError, r"There is no folder"),
        ".": (IsADirectoryError, r"there is a folder. Received: path="),
        "pipe": (ValueError, r"it is a device, a pipe or a socket. Received: path="),
    }
    for name, (error, message) in refused.items():
        with pytest.raises(error, match=message):
            write(os.path.join(tmp_path, name))
    assert (tmp_path / "file").read_text() == "precious"


@pytest.fixture
def unprivileged():
    """A folder of a user whom permissions hold for, and what runs as that user."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)

        def run(processes, program):
            become = "import os\nif os.getuid() == 0:\n    os.setuid(65534)\n"
            return processes.run(become + program, folder)[0]

        yield pathlib.Path(folder), run


REFUSED = """
import os, pathlib, sys
from tfmdn import files

folder = pathlib.Path(sys.argv[1])
for name in ("closed/file", "protected"):
    try:
        with files.replacement(folder / name) as draft:
            draft.write_text("new")
    except PermissionError as error:
        print(error)
"""


def test_what_may_not_be_written(processes, unprivileged):
    folder, run = unprivileged
    (folder / "closed").mkdir()
    (folder / "closed" / "file").write_text("precious")
    (folder / "closed" / "file").chmod(0o666)
    (folder / "protected").write_text("precious")
    (folder / "protected").chmod(0o444)
    (folder / "closed").chmod(0o555)
    result = run(processes, REFUSED)
    with contextlib.suppress(OSError):
        (folder / "closed").chmod(0o755)
    assert result.returncode == 0, result.stderr
    closed, protected = result.stdout.splitlines()
    assert "Files are written beside the one that they replace, and the folder" in closed
    assert "The file is not to be written to. Received: path=" in protected
    assert (folder / "protected").read_text() == (folder / "closed" / "file").read_text() == "precious"
