"""Whether the model ages: discrimination and calibration by vintage, and their trend over the months."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, nan, sqrt
from typing import Any

import numpy as np
import polars as pl

from workbench.statistics.estimate import Estimate, normal_quantile, undefined
from workbench.statistics.proportions import WILSON, wilson
from workbench.statistics.ranking import DELONG
from workbench.statistics.samples import FloatArray, IntArray, checked_sample, raise_faults
from workbench.validation.calibration import LIKELIHOOD, calibration_in_the_large, calibration_line
from workbench.validation.discrimination import auc

LEAST_VINTAGES = 3
METHOD = (
    f"{WILSON} (default_rate, in_the_large); {DELONG} on log-odds (auc); {LIKELIHOOD} (calibration_slope)"
)
MEASURES = ("default_rate", "auc", "in_the_large", "calibration_slope")


@dataclass(frozen=True)
class Decay:
    """How the model ages: `table` by vintage, and what it loses per month.

    `auc_per_month`: below 0 = ranks worse with time, 0 = no decay. `gap_per_month`: change of (observed -
    expected default rate), above 0 = ever more defaults than expected. Regressions over months, weighted by
    the variance of each vintage; where the vintages differ by more than their variance says, the interval is
    widened by how much more, on Student's t. With three such vintages it covers only some 0.87 where 0.95 is
    asked; from four on, what it says.
    """

    table: pl.DataFrame
    auc_per_month: Estimate
    gap_per_month: Estimate


def decay(frame: pl.DataFrame, *, least_defaults: int = 10, level: float = 0.95) -> Decay:
    """Return the AUC and the calibration of each vintage, and their trend over months.

    `frame`: default, prob_default and vintage ("YYYY-MM"), one row per applicant whose outcome is known. The
    table, oldest first, has columns vintage, month (since the first), applicants, defaults, mean_pd, then
    default_rate, auc, in_the_large (observed minus expected default rate; 0 = right), calibration_slope (1 =
    right, below 1 = too extreme), each with <name>_low and <name>_high, reason, level, method. A vintage with
    fewer than `least_defaults` defaults or goods has no AUC and no slope, and a `reason`. A trend needs three
    vintages; see `Decay`.

    Raises:
        DataError: columns that are not there, vintages that are missing or no month, and as `auc`, except
            that a vintage may have one class.
    """
    needed = ("default", "prob_default", "vintage")
    raise_faults(
        "Decay cannot be measured", [f"there is no column {n}" for n in needed if n not in frame.columns]
    )
    month = _months(frame["vintage"])
    bad, prob = checked_sample(
        frame["default"].to_numpy(), probabilities={"prob_default": frame["prob_default"].to_numpy()}
    )
    rows, spread = [], []
    for number in np.unique(month):
        own, own_prob = bad[month == number], prob[month == number]
        rows.append({"month": int(number - month.min())} | _vintage(own, own_prob, least_defaults, level))
        spread.append(sqrt(float(np.sum(own_prob * (1 - own_prob)))) / own.size)
    months = [row["month"] for row in rows]
    ranked = [row["auc"] for row in rows]
    gaps = [(row["in_the_large"].value, error) for row, error in zip(rows, spread, strict=True)]
    vintages = frame["vintage"].cast(pl.String).str.slice(0, 7).unique().sort()
    flat = [{"vintage": name} | _flat(row) for name, row in zip(vintages, rows, strict=True)]
    table = pl.DataFrame(flat, schema=_schema()).with_columns(level=pl.lit(level), method=pl.lit(METHOD))
    aged = [(area.value, _standard_error(area)) for area in ranked]
    return Decay(table, _trend(months, aged, level=level), _trend(months, gaps, level=level))


def _months(vintage: pl.Series) -> IntArray:
    """Return the months since the year 0 of dates or of texts that begin with YYYY-MM."""
    text = vintage.cast(pl.String)
    year = text.str.extract(r"^(\d{4})-(?:0[1-9]|1[0-2])(?:-|$)").cast(pl.Int64)
    month = text.str.extract(r"^\d{4}-(0[1-9]|1[0-2])(?:-|$)").cast(pl.Int64)
    unknown = int(year.is_null().sum())
    faults = [f"vintage is missing or no month (YYYY-MM) in {unknown} of {len(text)} rows"] if unknown else []
    raise_faults("Decay cannot be measured", faults)
    return (year * 12 + month - 1).to_numpy().astype(np.int64)


def _vintage(bad: FloatArray, prob: FloatArray, least: int, level: float) -> dict[str, Any]:
    defaults = int(bad.sum())
    few = min(defaults, bad.size - defaults) < max(least, 1)
    reason = f"{defaults} defaults and {bad.size - defaults} goods; {max(least, 1)} of each are needed"
    lacking = undefined(level, reason)
    parts = {
        "default_rate": wilson(defaults, bad.size, level=level),
        "auc": lacking if few else auc(bad, prob, level=level),
        "in_the_large": calibration_in_the_large(bad, prob, level=level),
        "calibration_slope": lacking if few else calibration_line(bad, prob, level=level).slope,
    }
    counts = {"applicants": bad.size, "defaults": defaults, "mean_pd": float(prob.mean())}
    return {**counts, **parts, "reason": reason if few else None}


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    ends = {"": "value", "_low": "low", "_high": "high"}
    numbers = {name + end: getattr(row[name], key) for name in MEASURES for end, key in ends.items()}
    return {name: value for name, value in row.items() if name not in MEASURES} | numbers


def _standard_error(area: Estimate) -> float:
    """Return DeLong's standard error of an AUC, which its interval holds on the log-odds scale."""
    if area.value is None or area.low is None or area.high is None:
        return nan
    width = log(area.high / (1 - area.high)) - log(area.low / (1 - area.low))
    return area.value * (1 - area.value) * width / (2 * normal_quantile(area.level))


def _trend(
    months: Sequence[int], measured: Sequence[tuple[float | None, float]], *, level: float
) -> Estimate:
    """Return the slope over months of values with known standard errors."""
    from scipy.stats import t
    from statsmodels.regression.linear_model import WLS

    known = [(m, value, error) for m, (value, error) in zip(months, measured, strict=True) if error > 0]
    if len(known) < LEAST_VINTAGES:
        reason = f"{len(known)} vintages can be measured; a trend needs {LEAST_VINTAGES}"
        return undefined(level, reason)
    month, value, error = np.array(known, dtype=np.float64).T
    design = np.column_stack([np.ones_like(month), month])
    fit = WLS(value, design, weights=error**-2).fit(cov_type="fixed scale")
    freedom = month.size - 2
    excess = float(fit.ssr) / freedom
    quantile = float(t.ppf(0.5 + level / 2, freedom)) if excess > 1 else normal_quantile(level)
    margin = quantile * float(fit.bse[1]) * sqrt(max(excess, 1.0))
    slope = float(fit.params[1])
    method = "weighted regression, " + ("widened, Student's t" if excess > 1 else "normal")
    return Estimate(slope, slope - margin, slope + margin, level, method)


def _schema() -> dict[str, Any]:
    numbers = [name + end for name in MEASURES for end in ("", "_low", "_high")]
    counts = {"vintage": pl.String, "month": pl.Int64, "applicants": pl.Int64, "defaults": pl.Int64}
    return counts | dict.fromkeys(["mean_pd", *numbers], pl.Float64) | {"reason": pl.String}
