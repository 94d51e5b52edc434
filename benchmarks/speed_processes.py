"""The processes of the speed benchmark, seen from the one that started them."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import speed_peers

WORKER = pathlib.Path(__file__).parent / "speed_worker.py"


class Worker:
    """A process that runs speed_worker.py."""

    def __init__(self, python: str):
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115, it is closed by close()
        self._process = subprocess.Popen(
            [python, WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            # PyTorch would count physical cores, the others count these.
            env={**os.environ, "OMP_NUM_THREADS": str(num_cpus())},
        )

    def ask(self, call: str, **arguments) -> dict:
        """The answer to a command.

        Raises:
          ImportError: if a package is not installed.
          RuntimeError: if the command failed, or the process ended.
        """
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps({"call": call, **arguments}), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": f"The process ended.\n{self._end_of_log()}"}
        if "missing" in answer:
            raise ImportError(answer["missing"])
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def _end_of_log(self) -> str:
        self._log.seek(0)
        return self._log.read()[-2000:]

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        self._log.close()


def num_cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class Workers:
    """Starts processes in the environments that have the packages. With `shared`, one process serves many methods."""

    def __init__(self, pythons: dict[str, str], shared: bool = False):
        self._pythons, self._shared = pythons, shared
        self._open: dict[str, Worker] = {}

    @contextlib.contextmanager
    def open(self, method: str) -> Iterator[Worker]:
        packages = speed_peers.METHODS[method].kind.packages
        python = next((self._pythons[package] for package in packages if package in self._pythons), sys.executable)
        # TensorFlow's logical devices cannot change once it has used them.
        if self._shared and method != "tfmdn-replicas":
            if python not in self._open:
                self._open[python] = Worker(python)
            yield self._open[python]
        else:
            with contextlib.closing(Worker(python)) as worker:
                yield worker

    def close(self) -> None:
        for worker in self._open.values():
            worker.close()
