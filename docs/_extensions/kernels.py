"""How the kernels of tutorials run: they are reached by sockets of files, and say nothing but what cells say.

Jupyter's default are TCP ports, which anybody on the machine could listen to; a kernel warns of that.
"""

from __future__ import annotations

import logging
import pathlib
import tempfile

import jupyter_client
import traitlets
from sphinx.application import Sphinx

# Run before the first cell: TensorFlow is imported without the lines that it logs.
QUIET = pathlib.Path(__file__).resolve().parents[2] / "examples" / "_quiet.py"


class KernelManager(jupyter_client.AsyncKernelManager):
    """Starts kernels that are reached by files."""

    @traitlets.default("transport")
    def _transport(self) -> str:
        return "ipc"

    @traitlets.default("ip")
    def _ip(self) -> str:
        """What the paths of its sockets begin with: not where this process is, for kernels run in other folders."""
        self.folder = tempfile.TemporaryDirectory()  # as long as the manager is
        return str(pathlib.Path(self.folder.name, "kernel"))

    def start_kernel(self, *, extra_arguments: list[str] = (), **kwargs):
        lines = [f"import runpy; runpy.run_path({str(QUIET)!r})"]
        return super().start_kernel(extra_arguments=[*extra_arguments, f"--IPKernelApp.exec_lines={lines!r}"], **kwargs)


def setup(app: Sphinx) -> dict:
    # MyST-NB has no setting for it, and nbclient takes its default from here.
    jupyter_client.AsyncKernelManager = KernelManager
    logging.getLogger("traitlets").setLevel(logging.WARNING)  # where nbclient says what it runs
    return {"parallel_read_safe": True, "parallel_write_safe": True}
