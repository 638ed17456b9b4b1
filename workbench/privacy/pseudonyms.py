"""Keyed pseudonyms: an identifier is replaced by its HMAC, which only a holder of the key can make again."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable

import numpy as np
import polars as pl

from workbench.errors import DataError, ParamsError

LEAST_BYTES = 16
_HOW = "make one once and keep it outside the run: export {}=$(openssl rand -hex 32)"


def read_key(variable: str) -> bytes:
    """Return the key that an environment variable holds, as the bytes of its text without outer blanks.

    Raises ParamsError when the variable is not set or holds fewer than 16 bytes; never quotes the key.
    """
    how = _HOW.format(variable or "NAME")
    if not variable:
        raise ParamsError("a key: received no name of an environment variable", [how])
    key = os.environ.get(variable, "").strip().encode()
    if not key:
        raise ParamsError(
            f"environment variable {variable}: not set, and the study reads a key from it", [how]
        )
    if len(key) < LEAST_BYTES:
        wrong = (
            f"environment variable {variable}: a key of {len(key)} bytes, at least {LEAST_BYTES} are needed"
        )
        raise ParamsError(wrong, [how])
    return key


def key_check(key: bytes) -> str:
    """Return 16 hex digits that tell keys apart and may go into a run: HMAC-SHA256 of a fixed text."""
    return hmac.digest(key, b"workbench key check", "sha256").hex()[:16]


def pseudonymise(ids: pl.Series, key: bytes) -> pl.Series:
    """Return Int64 pseudonyms in the order of the ids; missing ids stay missing.

    pseudonym = first 63 bits of HMAC-SHA256(key, text of the id), so 17 and "17" have the same one.
    Raises DataError for ids that are neither whole numbers nor text, and when two ids get one pseudonym.
    """
    return _replaced(ids, key, lambda digests: pl.Series((_words(digests) >> np.uint64(1)).astype(np.int64)))


def pseudonymise_text(column: pl.Series, key: bytes) -> pl.Series:
    """Return pseudonyms of another identifier as 16 hex digits: the first 64 bits of the same HMAC."""
    return _replaced(
        column, key, lambda digests: pl.Series([part.hex() for part in digests], dtype=pl.String)
    )


def _replaced(column: pl.Series, key: bytes, made: Callable[[list[bytes]], pl.Series]) -> pl.Series:
    if not (column.dtype.is_integer() or column.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null)):
        right = "whole numbers or text; read the column as text to keep its digits"
        raise DataError(f"{column.name}: ids of type {column.dtype} have no text of their own", [right])
    texts = column.cast(pl.String).rename("id")
    known = texts.drop_nulls().unique()
    pseudonyms = made([hmac.digest(key, text.encode(), "sha256")[:8] for text in known]).rename("pseudonym")
    lost = known.len() - pseudonyms.n_unique()
    if lost:
        right = "take another key and run the study again"
        raise DataError(f"{column.name}: {lost:,} of {known.len():,} ids share a pseudonym", [right])
    pairs = pl.DataFrame([known, pseudonyms])
    found = texts.to_frame().join(pairs, on="id", how="left", maintain_order="left")
    return found["pseudonym"].rename(column.name)


def _words(digests: list[bytes]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)
