"""The journal of a search: a line for everything that happened, so that a killed search goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESULT = "result"  # under which the journal keeps a trial's number among the finished and its folds' results


class _NoLock:
    """Optuna's lock outlives a killed process; the run folder lets in one process at a time as it is."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        """Do nothing."""


def search_key(settings: Mapping[str, Any], arrays: Iterable[NDArray[Any]]) -> str:
    """Return the SHA-256 of everything that a search depends on, and of the versions that compute it."""
    import optuna
    import xgboost

    versions = {"optuna": optuna.__version__, "xgboost": xgboost.__version__}
    text = json.dumps({**settings, "versions": versions}, sort_keys=True, separators=(",", ":"), default=str)
    digest = hashlib.sha256(text.encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for start in range(0, len(array), 1 << 16):  # by rows, so that the layout in memory is of no account
            digest.update(np.ascontiguousarray(array[start : start + (1 << 16)]).data)
    return digest.hexdigest()


def open_study(journal: Path | None, *, key: str, objectives: int = 1) -> tuple[Any, tuple[str, ...]]:
    """Return the Optuna study of this search, which minimises all objectives, and notes on what was mended.

    Without a journal the study lives in memory. A last line that a kill tore off is cut; a trial that was
    running is failed, and counts for nothing. A journal of another search, or one that cannot be read, is
    replaced, and a note says so by its name.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    directions = [optuna.study.StudyDirection.MINIMIZE] * objectives
    if journal is None:
        return optuna.create_study(directions=directions), ()
    notes = []
    journal.parent.mkdir(parents=True, exist_ok=True)
    if journal.exists():
        if cut := _cut_torn_lines(journal):
            notes.append(f"{journal.name}: its last line was torn, and {cut:,} bytes were cut off")
        if fault := _fault(journal, key, cut):
            journal.unlink()
            notes = [f"{journal.name} {fault}: it was replaced, and the search starts clean"]
    study = optuna.create_study(
        storage=_storage(journal), study_name=key, directions=directions, load_if_exists=True
    )
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study, tuple(notes)


def finished_trials(study: Any) -> list[Any]:
    """Return the trials that were judged to their end or pruned, in the order of their finishing."""
    from optuna.trial import TrialState

    found: list[Any] = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return found


def _storage(journal: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    lock: Any = _NoLock()
    return JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))


def _fault(journal: Path, key: str, cut: int) -> str:
    """What is wrong with a journal; empty where its search can go on, or has not begun."""
    import optuna

    if cut and not journal.stat().st_size:
        return "cannot be read"
    try:
        storage = _storage(journal)
        names = [study.study_name for study in storage.get_all_studies()]
        if names == [key]:
            trials = finished_trials(optuna.load_study(study_name=key, storage=storage))
            numbers = [trial.user_attrs.get(RESULT, {}).get("trial") for trial in trials]
            return "" if numbers == list(range(1, len(trials) + 1)) else "lacks results"
    except Exception:  # a damaged journal makes Optuna raise whatever its replay stumbles over
        return "cannot be read"
    return "is of another search (other data, folds, space, settings or versions)" if names else ""


def _cut_torn_lines(journal: Path) -> int:
    """Cut what follows the last whole line; return the number of bytes cut."""
    lines = journal.read_bytes().splitlines(keepends=True)
    size = whole = sum(map(len, lines))
    while lines and not _is_whole(lines[-1]):
        whole -= len(lines.pop())
    if whole < size:
        os.truncate(journal, whole)
    return size - whole


def _is_whole(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return line.endswith(b"\n")
