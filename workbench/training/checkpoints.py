"""Checkpoints: the booster after a block of rounds, for the training that made it and for no other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import RunError
from workbench.store import digest, read_json, write_json, write_whole

SUFFIXES = (".ubj", ".json")


def training_key(
    settings: Mapping[str, Any],
    names: Sequence[str],
    data_sha256: str,
    *,
    rounds: int,
    block_rounds: int,
    memory: str = "in_core",
) -> str:
    """Return the SHA-256 of everything that the bytes of a booster depend on.

    `data_sha256` stands for the rows, their order and the outcome; `memory` says how they come to the
    booster, where that moves the limits of its bins (in_core, "external 50000", "dask 4").
    """
    import xgboost

    plan = {"rounds": rounds, "block_rounds": block_rounds, "memory": memory}
    about = {"settings": dict(settings), "names": list(names), "data": data_sha256}
    return digest({**about, **plan, "xgboost": xgboost.__version__})


@dataclass
class Checkpoints:
    """A folder with the newest checkpoint of one training, `<rounds>.ubj` and its header `<rounds>.json`.

    `key` is the training's (`training_key`). `refused` says by name what `latest` found and may not be used.
    The header is written last: a model without one was interrupted while it was written, and is no fault.
    """

    folder: Path
    key: str
    refused: tuple[str, ...] = field(default=(), init=False)

    def save(self, rounds: int, model: bytes) -> None:
        """Keep a model in XGBoost's UBJSON after so many rounds, flushed to the disk, and drop all others.

        Raises:
            RunError: the disk refuses; the checkpoint before is still there.
        """
        kept = [self.folder / f"{rounds}{suffix}" for suffix in SUFFIXES]
        write_whole(kept[0], lambda temporary: temporary.write_bytes(model))
        header = {"key": self.key, "rounds": rounds, "sha256": hashlib.sha256(model).hexdigest()}
        write_json(kept[1], header)
        for path in self.folder.iterdir():
            if path.suffix in SUFFIXES and path not in kept:
                path.unlink()

    def latest(self) -> tuple[int, bytes] | None:
        """Return the rounds and the model of the newest checkpoint that may be used; None without one."""
        faults, found = [], None
        headers = (path for path in self.folder.glob("*.json") if path.stem.isdecimal())
        for header in sorted(headers, key=lambda path: int(path.stem), reverse=True):
            model = _read(header.with_suffix(".ubj"))
            fault = _fault(header, model, self.key)
            if model is not None and not fault:
                found = int(header.stem), model
                break
            faults.append(fault)
        then = f"training goes on from round {found[0]:,}" if found else "training starts clean"
        self.refused = tuple(f"checkpoint {fault}: it is refused, and {then}" for fault in faults)
        return found


def _fault(header: Path, model: bytes | None, key: str) -> str:
    """What is wrong with a checkpoint, by its name; empty where it may be used."""
    name = f"{header.stem}.ubj"
    try:
        about = read_json(header)
        told, rounds, sha256 = (about[item] for item in ("key", "rounds", "sha256"))
    except (RunError, KeyError, TypeError):
        return f"{header.name} is no header that can be read"
    if told != key:
        return f"{name} is of another training (other data, features, settings, rounds or version of XGBoost)"
    if model is None:
        return f"{name} is missing or cannot be read"
    if rounds != int(header.stem) or hashlib.sha256(model).hexdigest() != sha256:
        return f"{name} is truncated or was edited"
    return ""


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
