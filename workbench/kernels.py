"""Jupyter kernels, each with sockets of its own, started ahead so that imports cost no waiting."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from workbench.params import ROOT
from workbench.private import PrivateFolder

_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",  # stages side by side: threads that wait must not spin on the other's core
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}
# ipykernel watches its parent only once it has started: one that died during the imports would go unnoticed
_END_WITH_PARENT = (
    "import os as _os; _os.getppid() == int(_os.environ.get('JPY_PARENT_PID', _os.getppid())) or _os._exit(1)"
)


class Kernel:
    """A running kernel that has imported, or is importing, what a notebook's setup cell asks for.

    Its temporary files lie in a private folder of this process: they go with it, also when it is killed.
    """

    def __init__(self, notebook: Path) -> None:
        from jupyter_client.manager import AsyncKernelManager
        from jupyter_core.utils import run_sync

        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._closed = False
        # a socket's name has at most about 100 characters, which a deep TMPDIR would use up
        short = None if len(gettempdir()) < 60 else "/tmp"
        self._private = PrivateFolder()
        self._folder = TemporaryDirectory(prefix="workbench-", dir=short)
        connection = str(Path(self._folder.name) / "kernel.json")
        # sockets as files: no port that others could reach
        self.manager = AsyncKernelManager(kernel_name="python3", transport="ipc", connection_file=connection)
        lines = [f"--IPKernelApp.exec_lines={line}" for line in [*setup_imports(notebook), _END_WITH_PARENT]]
        run_sync(self._start)(lines)

    def close(self) -> None:
        """End the kernel, whatever it is doing; closing twice does nothing."""
        from jupyter_core.utils import run_sync

        if not self._closed:
            self._closed = True
            run_sync(self._shut_down)()
            self._folder.cleanup()
            self._private.close()

    async def _start(self, lines: list[str]) -> None:
        environment = os.environ | {"TMPDIR": str(self._private.path)}
        await self.manager.start_kernel(cwd=str(ROOT), extra_arguments=lines, env=environment)

    async def _shut_down(self) -> None:
        await self.manager.shutdown_kernel(now=True)


class WarmKernels:
    """The kernels of a sequence, at most one of them started ahead, for the stage that comes next."""

    def __init__(self) -> None:
        self._warm: dict[Path, Kernel] = {}
        self._taken: list[Kernel] = []

    def start(self, notebook: Path) -> None:
        """Start a kernel for a notebook unless one is waiting already."""
        if not self._warm:
            self._warm[notebook] = Kernel(notebook)

    def take(self, notebook: Path) -> Kernel:
        """Return the kernel started for a notebook, or a new one."""
        kernel = self._warm.pop(notebook, None) or Kernel(notebook)
        self._taken.append(kernel)
        return kernel

    def close(self) -> None:
        """End every kernel: the one that nobody took, and after an interrupt those at work."""
        for kernel in [*self._warm.values(), *self._taken]:
            kernel.close()
        self._warm.clear()


def setup_imports(notebook: Path) -> list[str]:
    """Return the import lines of a notebook's setup cell."""
    cells: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    setup = [cell for cell in cells if "setup" in cell["metadata"].get("tags", [])]
    lines = [line.strip() for cell in setup for line in "".join(cell["source"]).splitlines()]
    return [line for line in lines if line.startswith(("import ", "from "))]
