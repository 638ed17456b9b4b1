"""Whom two runs decide otherwise: counts of people, and how those with an outcome paid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

import polars as pl

from workbench.privacy.encryption import open_cipher
from workbench.reporting.disclosure import HIDDEN
from workbench.reporting.evidence import plain_table, shown_count
from workbench.reporting.tables import MISSING, format_interval, format_number
from workbench.run import Run, parts_of
from workbench.statistics.proportions import wilson

_FLOWS = {(1, 1): "approved by both", (1, 0): "approved, then declined"}
_FLOWS |= {(0, 1): "declined, then approved", (0, 0): "declined by both"}


def decision_table(before: Run, after: Run, below: int) -> str:
    """Return how many applicants of both runs are decided otherwise, and how those with an outcome paid.

    They are joined by pseudonym and leave as counts alone; one below `below` hides those that would tell it.
    """
    checks = [run.manifest["pseudonym_key_check"] for run in (before, after)]
    if checks[0] != checks[1]:
        return _flow_table([_nobody("the runs have different keys of pseudonyms")])
    both = _rows(before, "scoring/decisions").select("applicant_id", before="approved")
    both = both.join(
        _rows(after, "scoring/decisions").select("applicant_id", after="approved"), on="applicant_id"
    )
    if both.height == 0:
        return _flow_table([_nobody("nobody is in both runs")])
    outcomes = _rows(after, "data/applicants").select("applicant_id", "default")
    both = both.join(outcomes, on="applicant_id", how="left")
    flows = {name: both.filter(before=b, after=a) for (b, a), name in _FLOWS.items()}
    return _flow_table(_flow_cells(flows, below))


def _flow_table(rows: list[dict[str, str]]) -> str:
    return plain_table(rows, ["Decision", "Applicants", "Share", "Default rate", "Interval"])


def _nobody(why: str) -> dict[str, str]:
    return {"decision": why} | dict.fromkeys(("applicants", "share", "rate", "interval"), MISSING)


def _flow_cells(flows: Mapping[str, pl.DataFrame], below: int) -> list[dict[str, str]]:
    """Return the cells of the four flows; one small count hides its kind of number in all four.

    What each run approved, and how those paid, stands in its facts: with the sums of a table of two by two
    known, any one of its counts gives the three others.
    """
    people = {name: some.height for name, some in flows.items()}
    bads = {name: int(some["default"].sum()) for name, some in flows.items()}
    known = {name: some["default"].count() for name, some in flows.items()}
    few = _small(people.values(), below)
    rare = few or _small(chain(bads.values(), (known[name] - bads[name] for name in flows)), below)
    rows = []
    for name, count in people.items():
        rate = wilson(bads[name], known[name]) if known[name] else None
        row = {"decision": name, "applicants": shown_count(count, below)}
        row["share"] = format_number(count / sum(people.values()), "share")
        row["rate"] = MISSING if rate is None else format_number(rate.value, "share")
        row["interval"] = MISSING if rate is None else format_interval(rate.low, rate.high, "share")
        if few and not _small([count], below):
            row["applicants"] = HIDDEN
        rows.append(row | dict.fromkeys(["share"] * few + ["rate", "interval"] * rare, HIDDEN))
    return rows


def _small(counts: Iterable[int], below: int) -> bool:
    return any(0 < count < below for count in counts)


def _rows(run: Run, artifact: str) -> pl.DataFrame:
    path = run.checked_path(artifact)
    cipher = open_cipher(run.manifest.get("encryption_key", ""))
    return pl.read_parquet(parts_of(path), glob=False, **cipher.reading)
