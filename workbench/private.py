"""Private folders outside the runs, for copies of raw data; none outlives its process for long."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX, _LOCK = "workbench-private-", ".lock"


class PrivateFolder:
    """A temporary folder (below TMPDIR) that only this user may read.

    It goes when it is closed, with this object or with the process. While the process lives it holds a lock
    in the folder; `sweep` removes the folders of processes that were killed.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = FileLock(self.path / _LOCK, thread_local=False)
        lock.acquire()
        self._end = weakref.finalize(self, _remove, self.path, lock)

    def close(self) -> None:
        """Remove the folder; closing twice does nothing."""
        self._end()


def sweep() -> None:
    """Remove private folders that this user's killed processes left behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        mine = not folder.is_symlink() and folder.stat().st_uid == os.getuid()
        if not mine or not (folder / _LOCK).is_file():
            continue
        lock = FileLock(folder / _LOCK, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _remove(folder, lock)


def _remove(folder: Path, lock: FileLock) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.release()
