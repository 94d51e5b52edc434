"""A process of the speed benchmark, which speed.py starts: it builds methods, and runs and times them when told to.

Commands come as lines of JSON on the standard input, answers go to the standard output. Only NumPy is needed beside
the packages of the methods themselves.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import importlib.metadata
import json
import math
import pathlib
import sys
import time
import traceback

import numpy as np
import speed_peers

# Above any training that ends by its quality or its time.
MAX_EPOCHS = 100_000


class Session:
    """What has been built in this process, by the names of the methods."""

    def __init__(self):
        self.built = {}

    def start(self, method: str, data: str, problem: dict | None = None, num_draws: int | None = None) -> dict:
        """Builds a method and runs it once, so that everything is compiled."""
        self.built[method] = build(method, read(data), problem, num_draws)
        self.built[method].run(1)
        return {"versions": versions(speed_peers.METHODS[method].kind.packages)}

    def round(self, method: str, repeats: int) -> dict:
        start = time.perf_counter()
        self.built[method].run(repeats)
        return {"seconds": time.perf_counter() - start}

    def peak(self) -> dict:
        """The most memory that this process has held, in MiB."""
        # Not getrusage(): it counts what the parent held when it started this process.
        status = pathlib.Path("/proc/self/status")
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines()) if status.exists() else {}
        return {"peak": int(lines["VmHWM"].split()[0]) / 1024 if "VmHWM" in lines else None}

    def quality(self, method: str, data: str, problem: dict, goal: float, max_seconds: float) -> dict:
        """Trains until the NLL of the test rows is below `goal`.

        The clock runs from before the network is built and stands still while it is evaluated, after every epoch.
        """
        arrays = read(data)
        test = arrays.pop("x_test"), arrays.pop("y_test")
        scores, evaluation = [], 0.0
        start = time.perf_counter()

        def after_epoch():
            nonlocal evaluation
            stopped = time.perf_counter()
            scores.append(trainer.nll(*test))
            evaluation += time.perf_counter() - stopped
            return scores[-1] < goal or stopped - start - evaluation > max_seconds or not math.isfinite(scores[-1])

        trainer = build(method, arrays, problem)
        trainer.run(MAX_EPOCHS, after_epoch)
        seconds = time.perf_counter() - start - evaluation
        return {
            "seconds": seconds if scores[-1] < goal else None,
            "steps": len(scores) * problem["steps_per_epoch"],
            "best": min(scores),
        }


def build(method, arrays, problem, num_draws=None):
    if problem is None:
        return speed_peers.METHODS[method].build(num_draws, **arrays)
    arrays = {name: arrays[name] for name in ("x", "y")}
    return speed_peers.METHODS[method].build(speed_peers.Problem(**problem), **arrays)


def read(path: str) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in packages}


def main() -> None:
    # Whatever a package prints must not be taken for an answer.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    session = Session()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(session, command.pop("call"))(**command)
        except ImportError as error:
            answer = {"missing": str(error)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
