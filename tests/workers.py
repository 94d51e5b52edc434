"""Processes of their own for tests: one or several that train together on this machine, or that have no tfmdn.

They are forked off one that has imported TensorFlow and done nothing with it, as the import takes longer than they do.
"""

from __future__ import annotations

import gc
import json
import os
import pathlib
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback

import pytest

TIMEOUT = 240
# As where a SavedModel is served.
WITHOUT_TFMDN = """
import sys
for name in ("tfmdn", "tensorflow_probability", "keras", "tf_keras"):
    sys.modules[name] = None
import tensorflow
"""


class Processes:
    """Runs Python programs, each in a process that has run some code before, such as imports."""

    def __init__(self, code: str):
        command = [sys.executable, __file__, code]
        self._parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, program: str | pathlib.Path, *arguments, num_workers: int = 1) -> list[subprocess.CompletedProcess]:
        """Runs a file, or code, once for each worker, with `TF_CONFIG` if there are several, until all have ended."""
        servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(num_workers)]
        addresses = ["{}:{}".format(*server.getsockname()) for server in servers]
        for server in servers:
            server.close()
        configs = [
            json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
            for index in range(num_workers)
        ]
        request = {
            "program": str(program),
            "is_file": isinstance(program, pathlib.Path),
            "arguments": list(map(str, arguments)),
            "environments": [{"TF_CONFIG": config} if num_workers > 1 else {} for config in configs],
        }
        print(json.dumps(request), file=self._parent.stdin, flush=True)
        ended = json.loads(self._parent.stdout.readline())
        return [subprocess.CompletedProcess(request["program"], *each) for each in ended]

    def close(self):
        self._parent.stdin.close()
        self._parent.wait(TIMEOUT)


@pytest.fixture(scope="session")
def processes():
    """With tfmdn imported."""
    parent = Processes("import tfmdn")
    yield parent
    parent.close()


@pytest.fixture(scope="session")
def processes_without_tfmdn():
    parent = Processes(WITHOUT_TFMDN)
    yield parent
    parent.close()


def serve(answers) -> None:
    """What the parent does: it reads requests until there are no more."""
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            outputs = [pathlib.Path(folder, str(index)) for index in range(len(request["environments"]))]
            workers = [fork(request, *each) for each in zip(request["environments"], outputs)]
            # Each alarms itself: a worker that waits for another one ends, too.
            codes = [os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers]
            texts = [[output.with_suffix(suffix).read_text() for suffix in (".out", ".err")] for output in outputs]
        print(json.dumps([[code, *text] for code, text in zip(codes, texts)]), file=answers, flush=True)


def fork(request: dict, environment: dict[str, str], output: pathlib.Path) -> int:
    """Starts a process, and returns its number."""
    worker = os.fork()
    if worker:
        return worker
    code = 1
    try:
        signal.alarm(TIMEOUT)
        for number, suffix in ((1, ".out"), (2, ".err")):
            os.dup2(os.open(output.with_suffix(suffix), os.O_WRONLY | os.O_CREAT), number)
        os.environ.update(environment)
        sys.argv = [request["program"], *request["arguments"]]
        if request["is_file"]:
            runpy.run_path(request["program"], run_name="__main__")
        else:
            exec(request["program"], {"__name__": "__main__"})
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # nothing of the parent's is to be tidied up


if __name__ == "__main__":
    # What imports print is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    exec(sys.argv[1], {})
    gc.freeze()  # as conftest.py
    gc.set_threshold(50_000, 20, 20)
    serve(answers)
