"""What training asks of its data and of its search space, with all faults at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

import polars as pl

from workbench.errors import ParamsError, near_name
from workbench.statistics.samples import binary_faults, raise_faults

# name: least and most; those in ABOVE_LEAST must lie above the least
SEARCHABLE: dict[str, tuple[float, float]] = {
    "max_depth": (1, 16),
    "learning_rate": (0, 1),
    "min_child_weight": (0, 1e6),
    "subsample": (0, 1),
    "colsample_bytree": (0, 1),
    "colsample_bylevel": (0, 1),
    "colsample_bynode": (0, 1),
    "reg_lambda": (0, 1e6),
    "reg_alpha": (0, 1e6),
    "gamma": (0, 1e6),
    "max_delta_step": (0, 1e3),
}
MAY_BE_LEAST = ("max_depth", "reg_alpha", "gamma", "max_delta_step")
WHOLE_NUMBERS = ("max_depth",)
ALIASES = {
    "eta": "learning_rate",
    "lambda": "reg_lambda",
    "alpha": "reg_alpha",
    "min_split_loss": "gamma",
}
# What a search may never vary, and why.
FIXED = {
    "monotone_constraints": "directions come from the feature catalogue",
    "interaction_constraints": "which features may interact is set by training.interactions",
    "objective": "every trial is judged by log loss",
    "eval_metric": "every trial is judged by log loss",
    "seed": "the seed is training.seed",
    "tree_method": "the folds are binned once, for hist",
    "max_bin": "the folds are binned once, for all trials",
    "device": "the device is the engine's",
    "scale_pos_weight": "it would move every PD",
    "base_score": "it would move every PD",
}
NO_FEATURES = ("applicant_id", "default", "vintage", "sample", "application_time")


def check_space(space: Mapping[str, Sequence[float]], base: Mapping[str, Any]) -> None:
    """Refuse a search space that cannot be searched or contradicts what `base` fixes.

    `space` maps a setting of XGBoost to its low and high; `base` holds the settings that no trial varies.
    Raises ParamsError with every fault: an empty space, an unknown or fixed setting, a range that is no
    range, runs backwards, is not whole where whole numbers are needed, or leaves its limits.
    """
    faults = [fault for name, limits in space.items() for fault in _setting_faults(name, limits, base)]
    if not space:
        faults.append("it is empty: name at least one setting with its low and high")
    if faults:
        raise ParamsError("The search space cannot be searched", faults)


def check_training_data(frame: pl.DataFrame, *, names: Sequence[str], monotone: Sequence[int]) -> None:
    """Refuse a development sample that no model can be trained on, or whose features hold the outcome.

    `frame` has default (0 or 1, both present) and a numeric column for each of `names`; null and NaN are
    missing. `monotone` holds +1, -1 or 0 for each name. Values are judged as the booster sees them, in
    single precision. A feature with one value is constant only where no row lacks it: that it is missing may
    inform. A feature holds the outcome when a single cut of it, or its being missing, parts goods and
    defaults without a mistake (AUC 0 or 1).

    Raises:
        DataError: every fault that was found, by feature and never with a row's value.
    """
    outcome = list(_outcome_faults(frame))
    usable = [name for name in dict.fromkeys(names) if _is_numeric(frame, name)]
    faults = [*outcome, *_name_faults(frame, names, monotone), *_value_faults(frame, usable)]
    if not outcome:
        faults += _leak_faults(frame, [name for name in usable if name not in NO_FEATURES])
    raise_faults("The development sample cannot be trained on", faults)


def _setting_faults(name: str, limits: Any, base: Mapping[str, Any]) -> Iterator[str]:
    if name in FIXED:
        yield f"{name} may not be searched: {FIXED[name]}"
    elif name in base:
        yield f"{name} is fixed already: search it, or fix it, not both"
    elif name not in SEARCHABLE:
        near = f" (did you mean {ALIASES[name]}?)" if name in ALIASES else near_name(name, SEARCHABLE)
        yield f"{name} is no setting that can be searched{near}: {', '.join(SEARCHABLE)} are"
    else:
        yield from _range_faults(name, limits)


def _range_faults(name: str, limits: Any) -> Iterator[str]:
    if not _is_pair(limits):
        yield f"{name} is {limits!r}; a range is two numbers, low and high"
        return
    low, high = limits
    least, most = SEARCHABLE[name]
    closed = name in MAY_BE_LEAST
    if low > high:
        yield f"{name} runs from {low:g} down to {high:g}; low comes first"
    if name in WHOLE_NUMBERS and (low != int(low) or high != int(high)):
        yield f"{name} is [{low:g}, {high:g}]; it takes whole numbers"
    if not all(least <= end <= most and (closed or end > least) for end in limits):
        within = f"{'[' if closed else '('}{least:g}, {most:g}]"
        yield f"{name} is [{low:g}, {high:g}]; it lies within {within}"


def _is_pair(limits: Any) -> bool:
    if not isinstance(limits, Sequence) or isinstance(limits, str) or len(limits) != 2:
        return False
    return all(isinstance(end, int | float) and not isinstance(end, bool) and isfinite(end) for end in limits)


def _is_numeric(frame: pl.DataFrame, name: str) -> bool:
    return name in frame.columns and (frame[name].dtype.is_numeric() or frame[name].dtype == pl.Boolean)


def _outcome_faults(frame: pl.DataFrame) -> Iterator[str]:
    if "default" not in frame.columns:
        yield "there is no column default"
        return
    if frame.is_empty():
        yield "there are no rows"
        return
    if not _is_numeric(frame, "default"):
        yield f"default holds {frame['default'].dtype}; it is 0 (good) or 1 (bad)"
        return
    default = frame["default"].cast(pl.Float64)
    if missing := default.null_count():
        yield f"default is missing in {missing:,} rows"
    yield from binary_faults("default", default.drop_nulls().to_numpy())
    if not (default == 1).any():
        yield "there is no default: nothing can be learned without at least one"
    if not (default == 0).any():
        yield "there is no good: nothing can be learned without at least one"


def _name_faults(frame: pl.DataFrame, names: Sequence[str], monotone: Sequence[int]) -> Iterator[str]:
    if not names:
        yield "there are no features"
    if len(monotone) != len(names):
        yield f"there are {len(monotone)} directions for {len(names)} features; each needs +1, -1 or 0"
    elif wrong := [name for name, way in zip(names, monotone, strict=True) if way not in (-1, 0, 1)]:
        yield f"{', '.join(wrong)}: a direction is +1, -1 or 0"
    for name in dict.fromkeys(names):
        if list(names).count(name) > 1:
            yield f"{name} is there twice"
        if name in NO_FEATURES:
            yield f"{name} is no feature: it is the outcome, an identifier or a date"
        elif name not in frame.columns:
            yield f"{name} is not in the sample{near_name(name, frame.columns)}"
        elif not _is_numeric(frame, name):
            yield f"{name} holds {frame[name].dtype}; a feature is a number"


def _value_faults(frame: pl.DataFrame, names: Sequence[str]) -> Iterator[str]:
    for name in names if frame.height else ():
        values = frame[name].cast(pl.Float32).fill_nan(None)
        if infinite := int(values.is_infinite().sum()):
            yield f"{name} is infinite in {infinite:,} rows, or too large for single precision"
        if values.null_count() == frame.height:
            yield f"{name} is missing in all rows"
        elif not values.null_count() and values.min() == values.max():
            yield f"{name} is constant: no row differs from another"


def _leak_faults(frame: pl.DataFrame, names: Sequence[str]) -> Iterator[str]:
    used, outcome = frame.select("default", *names), pl.col("default").cast(pl.Float64)
    goods, defaults = (used.filter(outcome == value) for value in (0, 1))
    for name in names:
        sides = [side[name].cast(pl.Float32).fill_nan(None) for side in (goods, defaults)]
        if not _parts(*sides):
            continue
        if all(not side.null_count() and side.min() == side.max() for side in sides):
            yield f"{name} is the outcome itself, or a copy of it"
        else:
            yield f"{name} parts goods and defaults without a mistake: it holds the outcome"


def _parts(goods: pl.Series, defaults: pl.Series) -> bool:
    """Whether a cut of the values, or their being missing, tells goods from defaults."""
    lacking = [side.null_count() for side in (goods, defaults)]
    present = [side.len() - nulls for side, nulls in zip((goods, defaults), lacking, strict=True)]
    if all(present):
        ends: list[tuple[Any, Any]] = [(side.min(), side.max()) for side in (goods, defaults)]
        (lowest, highest), (lowest_bad, highest_bad) = ends
        return bool(highest < lowest_bad or highest_bad < lowest) and not all(lacking)
    return (present[0] == 0 and lacking[1] == 0) or (present[1] == 0 and lacking[0] == 0)
