"""Tables in, tables of decisions out: what a frozen scorer says of many applicants, in columns."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl

from workbench.errors import DataError, near_name
from workbench.scorer import Floats
from workbench.scoring.contract import flag_texts
from workbench.scoring.frozen import BY, DECISIONS, Decided, FrozenScorer, beyond_numbers
from workbench.scoring.reasons import NOBODY, Ranked

ID = "applicant_id"
CHUNK_ROWS = 20_000
_NUMBERS = (pl.Boolean, pl.Null)


def feature_matrix(frozen: FrozenScorer, table: pl.DataFrame) -> Floats:
    """Return the features of a table [applicants, features] as the scorer takes them; missing is NaN.

    Raises:
        DataError: naming every column that is missing or no number, and how many ids are missing.
    """
    names = frozen.contract.names
    wanted = (ID, *names)
    faults = [f"{name} is missing{near_name(name, table.columns)}" for name in wanted if name not in table]
    faults += [f"{ID} is missing in {count:,} rows"] if (count := _unnamed(table)) else []
    present = [name for name in names if name in table.columns]
    faults += [
        f"{name} is {table[name].dtype}; a number is right"
        for name in present
        if not (table[name].dtype.is_numeric() or table[name].dtype in _NUMBERS)
    ]
    if faults:
        raise DataError(f"{len(faults)} fault(s) in the table to score", faults)
    matrix: Floats = table.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()
    return matrix


def decision_table(
    frozen: FrozenScorer, table: pl.DataFrame, *, reasons: bool = True, threads: int = 1
) -> pl.DataFrame:
    """Return the decision of each applicant in the order of the table.

    Columns: applicant_id, prob_default, score, decision, decided_by (model, rule or empty), review, flags;
    with reasons also reason_1, feature_1, points_1 and so on. An applicant beyond the contract has decision
    "refused" and no score where the scorer refuses such; one with an infinite value always. Errors as
    `feature_matrix`.
    """
    matrix = feature_matrix(frozen, table)
    infinite = beyond_numbers(matrix)
    beyond = np.asarray(infinite.any(axis=1))
    matrix[infinite] = np.nan
    refused = beyond | frozen.refused(matrix)
    slices = [slice(at, at + CHUNK_ROWS) for at in range(0, max(len(matrix), 1), CHUNK_ROWS)]
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(lambda rows: frozen.decide(matrix[rows], reasons=reasons), slices))
    made = pl.concat([_columns(frozen, part) for part in parts])
    made = made.insert_column(0, table[ID])
    if not refused.any():
        return made
    if beyond.any():
        flags = pl.when(pl.Series(beyond)).then(pl.lit("contract")).otherwise("flags")
        made = made.with_columns(flags=flags)
    hidden = [name for name in made.columns if name not in (ID, "flags", "decision", "review")]
    keep = pl.Series(~refused)
    return made.with_columns(
        decision=pl.when(keep).then("decision").otherwise(pl.lit("refused")),
        review=pl.when(keep).then("review").otherwise(pl.lit(False)),
        **{name: pl.when(keep).then(name) for name in hidden},
    )


def _unnamed(table: pl.DataFrame) -> int:
    return table[ID].null_count() if ID in table.columns else 0


def _columns(frozen: FrozenScorer, decided: Decided) -> pl.DataFrame:
    columns = {
        "prob_default": decided.prob_default,
        "score": decided.score,
        "decision": _words(DECISIONS, decided.decision),
        "decided_by": _words(BY, decided.by),
        "review": decided.review,
        "flags": flag_texts(decided.flags),
    }
    if decided.reasons is not None:
        columns |= dict(_reason_columns(frozen, decided.reasons))
    return pl.DataFrame(columns)


def _reason_columns(frozen: FrozenScorer, told: Ranked) -> Iterator[tuple[str, pl.Series]]:
    for rank in range(frozen.reasons.shown):
        yield f"reason_{rank + 1}", _words(frozen.reasons.codes, told.codes[:, rank])
        yield f"feature_{rank + 1}", _words(frozen.contract.names, told.features[:, rank])
        yield f"points_{rank + 1}", pl.Series(told.points[:, rank]).fill_nan(None)


def _words(words: tuple[str, ...], places: np.ndarray) -> pl.Series:
    """Return the words at places; none where the place is -1."""
    known = pl.Series([*words, None], dtype=pl.String)
    at = np.where(places == NOBODY, len(words), places) if places.dtype.kind == "i" else places
    return known.gather(pl.Series(at, dtype=pl.UInt32))
