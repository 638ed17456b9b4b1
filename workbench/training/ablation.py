"""What each data category buys: the champion's settings trained again without it, and on it alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import near_name
from workbench.scorer import Floats, model_matrix
from workbench.statistics.estimate import Estimate, undefined
from workbench.statistics.ranking import auc, compare_auc
from workbench.statistics.samples import FloatArray, IntArray, raise_faults
from workbench.training.equal_risk import Mask, equal_risk_approvals, rate_faults
from workbench.training.folds import Folds, boosted_out_of_fold

ALL = "all"
NOT_KNOWN = "not known"


def source_ablation(
    frame: pl.DataFrame,
    folds: Folds,
    *,
    names: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    settings: Mapping[str, Any],
    rounds: int,
    approval_rate: float,
    segment: str | None,
    level: float,
    replicates: int,
    seed: int,
    alone: bool = True,
) -> pl.DataFrame:
    """Train the champion's settings without each data category on the same folds; above 0 = it helps.

    `frame` is the development sample with default, `names` and, unless None, the column `segment`; `groups`
    are the features of each category. Everything is measured out of fold. The constraints of the features
    that stay hold (`settings_for`); without any feature the PD is the same for everyone.

    Returns one row for each category and part ("all", then the segment's values, "not known" where missing):
    category, features (number in it), part, applicants, defaults; auc_with, auc_without and auc_gain (with
    minus without) with auc_gain_low and auc_gain_high, paired DeLong; auc_alone of the category alone with
    auc_alone_low and auc_alone_high, DeLong on log-odds, null unless `alone`; risk, approvals_with,
    approvals_without and approvals_gain with approvals_gain_low and approvals_gain_high as
    `equal_risk_approvals` has them; level, method (of the two gains). AUCs are null in a part of one class.
    Intervals hold for the models as they were trained: another training moves a gain by a little more.
    Time: folds x (1 + 2 x categories) trainings, and the bootstrap.

    Raises:
        DataError: a category without features or with unknown ones, no such segment, a rate outside (0, 1).
    """
    faults = [*_faults(frame, names, groups, segment), *rate_faults(approval_rate)]
    raise_faults("Data categories cannot be ablated", faults)
    default, judged = frame["default"].to_numpy().astype(float), folds.judged

    def predicted(kept: Sequence[str]) -> Floats:
        if not kept:
            return np.full(judged.size, 0.5)
        chosen = settings_for(settings, kept, names=names)
        matrix = model_matrix(frame, list(kept))
        return boosted_out_of_fold(matrix, default, folds, settings=chosen, rounds=rounds)[judged]

    full, bad, parts = predicted(names), default[judged], _parts(frame, segment, judged)
    without = {
        category: predicted([name for name in names if name not in members])
        for category, members in groups.items()
    }
    only = {category: predicted(members) for category, members in groups.items()} if alone else {}
    ranked = [
        {"category": category, "features": len(members), "part": part}
        | {"applicants": int(rows.sum()), "defaults": int(bad[rows].sum())}
        | _discrimination(bad[rows], full[rows], without[category][rows], level)
        | (_area_alone(bad[rows], only[category][rows], level) if alone else {})
        for category, members in groups.items()
        for part, rows in parts.items()
    ]
    approved = equal_risk_approvals(
        bad,
        full,
        without,
        approval_rate=approval_rate,
        parts=parts,
        level=level,
        replicates=replicates,
        seed=seed,
    )
    return _joined(pl.DataFrame(ranked, schema=_DISCRIMINATION), approved)


def settings_for(settings: Mapping[str, Any], kept: Sequence[str], *, names: Sequence[str]) -> dict[str, Any]:
    """Return the settings for a model of the features `kept` of `names`, in the order of `kept`.

    Monotone directions (by position in `names`; those past their end are 0) and interaction constraints (sets
    of positions or of names, or their JSON) are those of the features that stay. A set that loses all its
    features goes; to XGBoost a feature that is in no set interacts with none, and that stays so.

    Reference: XGBoost documentation, "Feature Interaction Constraints" and "Monotonic Constraints".
    """
    place = {name: position for position, name in enumerate(names)}
    chosen = dict(settings)
    if "monotone_constraints" in settings:
        directions = dict(enumerate(settings["monotone_constraints"]))
        chosen["monotone_constraints"] = tuple(directions.get(place[name], 0) for name in kept)
    if settings.get("interaction_constraints") is not None:
        given = settings["interaction_constraints"]
        sets = json.loads(given) if isinstance(given, str) else given
        now = {key: new for new, name in enumerate(kept) for key in (place[name], name)}
        left = [[now[member] for member in members if member in now] for members in sets]
        chosen["interaction_constraints"] = json.dumps([members for members in left if members])
    return chosen


def _parts(frame: pl.DataFrame, segment: str | None, judged: IntArray) -> dict[str, Mask]:
    everyone = {ALL: np.ones(judged.size, dtype=bool)}
    if segment is None:
        return everyone
    values = frame[segment].cast(pl.String).fill_null(NOT_KNOWN).gather(judged)
    return everyone | {value: (values == value).to_numpy() for value in values.unique().sort()}


def _discrimination(bad: FloatArray, full: Floats, without: Floats, level: float) -> dict[str, Any]:
    if not 0 < bad.sum() < bad.size:
        return {"auc_method": undefined(level, "one class only").method}
    gain = compare_auc(bad, without, full, level=level).difference
    areas = {"auc_with": auc(bad, full).value, "auc_without": auc(bad, without).value}
    return areas | _named("auc_gain", gain) | {"auc_method": gain.method}


def _area_alone(bad: FloatArray, prob: Floats, level: float) -> dict[str, float | None]:
    if not 0 < bad.sum() < bad.size:
        return {}
    return _named("auc_alone", auc(bad, prob, level=level))


def _named(name: str, found: Estimate) -> dict[str, float | None]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def _joined(ranked: pl.DataFrame, approved: pl.DataFrame) -> pl.DataFrame:
    ends = {"low": "approvals_gain_low", "high": "approvals_gain_high"}
    told = approved.rename({"challenger": "category", **ends})
    table = ranked.join(told, on=["category", "part"], how="left", maintain_order="left")
    both = pl.concat_str("auc_method", "method", separator="; ")
    return table.with_columns(method=both).drop("auc_method")


def _faults(
    frame: pl.DataFrame, names: Sequence[str], groups: Mapping[str, Sequence[str]], segment: str | None
) -> Iterator[str]:
    if not groups:
        yield "there is no data category"
    for category, members in groups.items():
        if not members:
            yield f"{category} has no features; leave it out"
        for member in members:
            if member not in names:
                yield f"{category}: {member} is not a feature of the model{near_name(member, names)}"
    if segment is not None and segment not in frame.columns:
        yield f"there is no segment {segment}{near_name(segment, frame.columns)}"


_AREAS = (
    *("auc_with", "auc_without", "auc_gain", "auc_gain_low", "auc_gain_high"),
    *("auc_alone", "auc_alone_low", "auc_alone_high"),
)
_DISCRIMINATION = {
    **{"category": pl.String, "features": pl.Int64, "part": pl.String},
    **{"applicants": pl.Int64, "defaults": pl.Int64},
    **dict.fromkeys(_AREAS, pl.Float64),
    "auc_method": pl.String,
}
