"""Whether the model is asked about applicants unlike those it learnt from, and how it does there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from workbench.errors import near_name
from workbench.statistics.estimate import Estimate, undefined
from workbench.statistics.proportions import WILSON, wilson
from workbench.statistics.ranking import DELONG
from workbench.statistics.samples import FloatArray, checked_sample, raise_faults
from workbench.validation.calibration import calibration_in_the_large
from workbench.validation.discrimination import auc

Mask = NDArray[np.bool_]
TAILS = (0.001, 0.999)
"""Quantiles of the development sample beyond which it has seen next to nobody."""
METHOD = f"{WILSON} (share, default_rate, in_the_large); {DELONG} on log-odds (auc)"


def range_table(
    development: pl.DataFrame, rows: pl.DataFrame, *, names: Sequence[str], level: float = 0.95
) -> pl.DataFrame:
    """Return how many applicants lie outside what the development sample saw, by feature, the most first.

    Trees do not extrapolate: beyond the range everyone is scored like the last one seen. A sample of the same
    population has a share of about 2 / (development applicants) outside, and 0.002 in the tails beyond the
    0.1 and 99.9 percentiles (ties apart).

    `development`, `rows`: `names` as numbers or yes/no, nulls and NaN allowed. Returns columns feature, known
    (not missing), below, above (counts outside the range), value (share of the known outside), low, high
    (Wilson), tails (share beyond the percentiles), tails_low, tails_high, level, method. No value of an
    applicant is told.

    Raises:
        DataError: columns that are not there, no rows.
    """
    seen, asked = _matrices(development, rows, names)
    found = [
        {"feature": name} | _range(old, new, level)
        for name, old, new in zip(names, seen.T, asked.T, strict=True)
    ]
    return pl.DataFrame(found, schema=_RANGE).sort(
        "value", descending=True, nulls_last=True, maintain_order=True
    )


def extrapolation_table(
    development: pl.DataFrame,
    rows: pl.DataFrame,
    default: ArrayLike,
    prob_default: ArrayLike,
    *,
    names: Sequence[str],
    level: float = 0.95,
) -> pl.DataFrame:
    """Return how the model does inside and outside of what the development sample saw.

    By three rules, each with the parts inside and outside: range (outside = any feature below the smallest or
    above the largest value seen), tails (any beyond the 0.1 or 99.9 percentile), missing_pattern (a set of
    missing features that no development applicant has). in_the_large = observed minus expected default rate,
    0 = right on the whole; an AUC that is lower outside = the model ranks worse there.

    `default`: 0 or 1, `prob_default`: [0, 1], both [applicants] in the order of `rows`; others as
    `range_table`. Returns columns rule, part, applicants, defaults, mean_pd, then share (of all),
    default_rate, in_the_large, auc, each with <name>_low and <name>_high, reason (why there is no AUC),
    level, method.

    Raises:
        DataError: as `range_table`, and as `auc`, except that a part may have one class or nobody.
    """
    seen, asked = _matrices(development, rows, names)
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default})
    short = [f"there are {len(asked)} rows and {bad.size} outcomes"] if len(asked) != bad.size else []
    raise_faults("Extrapolation cannot be measured", short)
    outside = {
        "range": _beyond(asked, *_range_of(seen)).any(axis=1),
        "tails": _beyond(asked, *_tails_of(seen)).any(axis=1),
        "missing_pattern": _new_patterns(seen, asked),
    }
    found = [
        {"rule": rule, "part": part} | _measured(bad[kept], prob[kept], bad.size, level)
        for rule, beyond in outside.items()
        for part, kept in (("inside", ~beyond), ("outside", beyond))
    ]
    return pl.DataFrame(found, schema=_schema()).with_columns(level=pl.lit(level), method=pl.lit(METHOD))


def _matrices(
    development: pl.DataFrame, rows: pl.DataFrame, names: Sequence[str]
) -> tuple[FloatArray, FloatArray]:
    samples = {"development": development, "rows": rows}
    faults = [
        f"{sample} has no feature {name}{near_name(name, frame.columns)}"
        for sample, frame in samples.items()
        for name in names
        if name not in frame.columns
    ]
    faults += [f"{sample} has no rows" for sample, frame in samples.items() if not frame.height]
    faults += ["there is no feature to compare"] if not names else []
    raise_faults("Extrapolation cannot be measured", faults)
    seen, asked = (
        frame.select(names).cast(pl.Float64).fill_null(np.nan).to_numpy() for frame in samples.values()
    )
    return seen, asked


def _range_of(seen: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the smallest and largest known value of each feature; inf and -inf where none is known."""
    known = ~np.isnan(seen)
    return np.where(known, seen, np.inf).min(axis=0), np.where(known, seen, -np.inf).max(axis=0)


def _tails_of(seen: FloatArray) -> tuple[FloatArray, FloatArray]:
    ends = [_quantiles(column[~np.isnan(column)]) for column in seen.T]
    low, high = np.array(ends).T
    return low, high


def _quantiles(known: FloatArray) -> list[float]:
    if not known.size:
        return [np.inf, -np.inf]
    ends: list[float] = np.quantile(known, TAILS, method="inverted_cdf").tolist()
    return ends


def _beyond(asked: FloatArray, low: FloatArray, high: FloatArray) -> Mask:
    """Return [applicants, features] where a known value is outside; a missing one never is."""
    outside: Mask = (asked < low) | (asked > high)
    return outside


def _range(seen: FloatArray, asked: FloatArray, level: float) -> dict[str, Any]:
    old, new = seen[:, None], asked[~np.isnan(asked)]
    (low,), (high,) = _range_of(old)
    below, above = int(np.sum(new < low)), int(np.sum((new > high) & (new >= low)))
    share = wilson(below + above, new.size, level=level)
    tails = wilson(int(_beyond(new[:, None], *_tails_of(old)).sum()), new.size, level=level)
    ends = {"tails": tails.value, "tails_low": tails.low, "tails_high": tails.high}
    return {"known": new.size, "below": below, "above": above} | vars(share) | ends


def _new_patterns(seen: FloatArray, asked: FloatArray) -> Mask:
    def patterns(matrix: FloatArray) -> NDArray[np.void]:
        packed = np.ascontiguousarray(np.packbits(np.isnan(matrix), axis=1))
        return packed.view(np.dtype((np.void, packed.shape[1]))).ravel()

    known = {pattern.tobytes() for pattern in np.unique(patterns(seen))}
    asked_patterns, place = np.unique(patterns(asked), return_inverse=True)
    new: Mask = np.array([pattern.tobytes() not in known for pattern in asked_patterns])[place]
    return new


def _measured(bad: FloatArray, prob: FloatArray, everyone: int, level: float) -> dict[str, Any]:
    defaults, nobody = int(bad.sum()), undefined(level, "there is nobody")
    two = 0 < defaults < bad.size
    one_class = undefined(level, "one class only") if bad.size else nobody
    parts = {
        "share": wilson(bad.size, everyone, level=level),
        "default_rate": wilson(defaults, bad.size, level=level),
        "in_the_large": calibration_in_the_large(bad, prob, level=level) if bad.size else nobody,
        "auc": auc(bad, prob, level=level) if two else one_class,
    }
    numbers = {name + end: value for name, part in parts.items() for end, value in _numbers(part)}
    reason = None if parts["auc"].low is not None else parts["auc"].method
    mean = float(prob.mean()) if bad.size else None
    return {"applicants": bad.size, "defaults": defaults, "mean_pd": mean, **numbers, "reason": reason}


def _numbers(part: Estimate) -> tuple[tuple[str, float | None], ...]:
    return ("", part.value), ("_low", part.low), ("_high", part.high)


def _schema() -> dict[str, Any]:
    measures = ("share", "default_rate", "in_the_large", "auc")
    numbers = [name + end for name in measures for end in ("", "_low", "_high")]
    labels = {"rule": pl.String, "part": pl.String, "applicants": pl.Int64, "defaults": pl.Int64}
    return labels | dict.fromkeys(["mean_pd", *numbers], pl.Float64) | {"reason": pl.String}


_RANGE: dict[str, Any] = {
    **{"feature": pl.String, **dict.fromkeys(("known", "below", "above"), pl.Int64)},
    **dict.fromkeys(("value", "low", "high", "tails", "tails_low", "tails_high", "level"), pl.Float64),
    "method": pl.String,
}
