"""Runs a script in processes of its own: one, or several that train together on this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

TIMEOUT = 240


def run(command: list, num_workers: int = 1) -> list[subprocess.CompletedProcess]:
    """Runs `python *command` once for each worker, with `TF_CONFIG` if there are several, until all have ended."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(num_workers)]
    addresses = ["{}:{}".format(*server.getsockname()) for server in servers]
    for server in servers:
        server.close()
    processes = []
    for index in range(num_workers):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(config)} if num_workers > 1 else None
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen([sys.executable, *map(str, command)], env=environment, **pipes))
    try:
        outputs = [process.communicate(timeout=TIMEOUT) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *output)
        for process, output in zip(processes, outputs)
    ]
