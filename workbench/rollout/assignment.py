"""Who is decided by the canary: a share of the applicants, told by their id and a salt alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workbench.errors import RolloutError

_SPAN = 1 << 64


def place_of(applicant_id: str | int, *, salt: str) -> int:
    """Return an applicant's place among 2^64: the first 8 bytes of SHA-256(salt, newline, id).

    An id is the same as text and as whole number; nothing else, and no process, has a say.
    """
    found = hashlib.sha256(f"{salt}\n{applicant_id}".encode()).digest()
    return int.from_bytes(found[:8], "big")


def in_canary(applicant_id: str | int, *, salt: str, share: float) -> bool:
    """Return whether the canary decides on an applicant: place / 2^64 < share.

    Who is in a share is in every larger one with the same salt; 0 is nobody, 1 is everybody. The share is
    not checked here, where a request waits: `read_deployment` has done it.
    """
    return place_of(applicant_id, salt=salt) < share * _SPAN


def canary_mask(applicant_ids: Sequence[str | int], *, salt: str, share: float) -> NDArray[np.bool_]:
    """Return `in_canary` of many applicants [applicants].

    Raises:
        RolloutError: a share outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise RolloutError(f"share {share}: cannot be assigned", ["a number from 0 to 1 is right"])
    hasher = hashlib.sha256(f"{salt}\n".encode())
    found = bytearray()
    for applicant_id in applicant_ids:
        one = hasher.copy()
        one.update(str(applicant_id).encode())
        found += one.digest()[:8]
    places = np.frombuffer(bytes(found), dtype=">u8").astype(np.uint64)
    if share == 1:
        return np.ones(places.size, dtype=bool)
    return np.asarray(places < np.uint64(-int(-share * _SPAN // 1)), dtype=bool)
