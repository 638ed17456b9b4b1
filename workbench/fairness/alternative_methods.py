"""Methods for less disparity: what each does, and whether it needs the attribute to train or to decide."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import ParamsError, near_name
from workbench.fairness.groups import as_labels
from workbench.scorer import Floats, model_matrix
from workbench.statistics.samples import IntArray

Flags = NDArray[np.bool_]
LONGEST_STEP = 2.0
"""A reduction's step at strength 1: it moves the weight 1 of a row of the worst group by so much, past 0."""
ROUNDING = 1e-9  # of a violation where there is none


class Method(NamedTuple):
    """Whether a method needs the protected attribute to train and to decide, and what it does."""

    needs_attribute_in_training: bool
    needs_attribute_at_decision: bool
    meaning: str


METHODS = {
    "features_and_settings": Method(False, False, "other features, constraints and settings alone"),
    "reweighing": Method(True, False, "rows weighed until group and outcome are independent"),
    "demographic_parity": Method(True, False, "rows weighed towards equal approval rates"),
    "true_positive_rate_parity": Method(True, False, "goods weighed towards equal approval rates of goods"),
    "equalized_odds": Method(True, False, "goods and bads weighed towards equal approval rates of each"),
    "group_thresholds": Method(True, True, "a cutoff of its own for each group"),
}
MOMENTS = {
    "demographic_parity": "DemographicParity",
    "true_positive_rate_parity": "TruePositiveRateParity",
    "equalized_odds": "EqualizedOdds",
}
AT_DECISION = tuple(name for name, method in METHODS.items() if method.needs_attribute_at_decision)
"""Methods that treat applicants by their group: what a pack forbids where the law does."""


def method_table(forbidden: Collection[str] = ()) -> pl.DataFrame:
    """Return method, needs_attribute_in_training, needs_attribute_at_decision, tried and meaning.

    Raises:
        ParamsError: a forbidden method that does not exist, or nothing left to try.
    """
    unknown = [name for name in forbidden if name not in METHODS]
    faults = [f"{name} is no method{near_name(name, METHODS)}" for name in unknown]
    if set(METHODS) <= set(forbidden):
        faults.append(f"all {len(METHODS)} methods are forbidden; at least 1 is needed")
    if faults:
        raise ParamsError(f"The methods to forbid are among {', '.join(METHODS)}", faults)
    rows = [
        {"method": name, **method._asdict(), "tried": name not in forbidden}
        for name, method in METHODS.items()
    ]
    return pl.DataFrame(rows).select(pl.exclude("meaning"), "meaning")


@dataclass(frozen=True)
class Rows:
    """Applicants as arrays: features, default, pooled group, and whether their own group is judged.

    Applicants of groups that are not judged, or of none that is known, are treated as the reference group is
    and judge no disparity.
    """

    features: Floats
    default: Floats
    group: NDArray[np.str_]
    judged: Flags


def rows_of(
    frame: pl.DataFrame, *, names: Collection[str], attribute: str, groups: Collection[str], reference: str
) -> Rows:
    """Return the rows of a frame with the features `names`, default and the attribute."""
    labels = as_labels(frame[attribute]).cast(pl.String)
    judged = labels.is_in(list(groups)).fill_null(False)
    pooled = labels.zip_with(judged, pl.Series([reference]))
    default = frame["default"].to_numpy().astype(np.float64)
    return Rows(model_matrix(frame, list(names)), default, pooled.to_numpy().astype(str), judged.to_numpy())


@dataclass(frozen=True)
class Model:
    """A candidate as it decides: a classifier of goods, the features it sees, the cutoff of each group.

    `apart`: how much of the way the cutoffs go from one for all to equal approval rates.
    """

    classifier: Any
    seen: IntArray
    apart: float
    cutoffs: Mapping[str, float]

    def margin(self, rows: Rows) -> Floats:
        """Return the log-odds of default [applicants]."""
        margin_of_goods = self.classifier.predict(rows.features[:, self.seen], output_margin=True)
        return -np.asarray(margin_of_goods, dtype=np.float64)

    def risk(self, rows: Rows) -> Floats:
        """Return the log-odds of default less the cutoff of the own group: approved at and below 0."""
        return _above(self.margin(rows), rows.group, self.cutoffs)


def reweighing(default: Floats, group: NDArray[Any], *, strength: float = 1.0) -> Floats:
    """Return weights (P(group) P(outcome) / P(group, outcome)) ^ strength [applicants]; 0 = all weigh 1.

    At strength 1 group and outcome are independent in the weighed rows. `default`: 0 or 1, `group`: labels.
    Reference: Kamiran and Calders (2012), Knowledge and Information Systems 33: 1-33.
    """
    rows = pl.DataFrame({"default": default, "group": group})
    expected = pl.len().over("group") / pl.len() * pl.len().over("default")
    weights = rows.select((expected / pl.len().over("group", "default")) ** strength).to_series()
    return np.asarray(weights.to_numpy(), dtype=np.float64)


def fit_classifier(classifier: Any, rows: Rows, *, method: str, strength: float, decided: Floats) -> Any:
    """Return the classifier of goods fitted by a method; `rows` hold the features that it may see.

    `strength` in [0, 1]: 0 = as without the method. Reductions are Fairlearn's grid search at a single grid
    point: one step away from `decided` (approved by the champion, 0 or 1 [applicants]) along what these
    decisions violate, group by group. Reference: Agarwal, Beygelzimer, Dudik, Langford and Wallach (2018),
    Proceedings of Machine Learning Research 80: 60-69.
    """
    good = 1 - rows.default.astype(np.int64)
    if method == "reweighing":
        weights = reweighing(rows.default, rows.group, strength=strength)
        return classifier.fit(rows.features, good, sample_weight=weights)
    if method in MOMENTS:
        return _reduced(classifier, rows, good, moment=MOMENTS[method], strength=strength, decided=decided)
    return classifier.fit(rows.features, good)


def cutoff_at(margin: Floats, approval_rate: float) -> float:
    """Return the margin up to which the share nearest to the rate is approved; ties stay together."""
    values, counts = np.unique(margin, return_counts=True)
    return float(values[np.abs(counts.cumsum() / margin.size - approval_rate).argmin()])


def cutoffs(
    margin: Floats, group: NDArray[Any], *, approval_rate: float, strength: float = 0.0
) -> dict[str, float]:
    """Return each group's highest margin that is approved, so that `approval_rate` of everyone are.

    strength 0: one cutoff for all; 1: every group has the same approval rate; between: so much of the way.
    Fairlearn's ThresholdOptimizer sets the same cutoffs, but at an approval rate of its own choice.
    Reference: Hardt, Price and Srebro (2016), NeurIPS 29.
    """
    common = cutoff_at(margin, approval_rate)
    found = {}
    for name in np.unique(group):
        inside = margin[group == name]
        own = float(np.mean(inside <= common))
        wanted = own + strength * (approval_rate - own)
        found[str(name)] = cutoff_at(inside, wanted) if strength else common
    return found


def crossed_decisions(margin: Floats, group: NDArray[Any], *, approval_rate: float, strength: float) -> Flags:
    """Return who is approved [applicants] by `cutoffs` set on the other half of the applicants.

    Every second applicant of each group is one half, so that no cutoff is judged by whom it was set on: a
    group needs two applicants. Cutoffs of their own would look fairer than they are otherwise.
    """
    half = pl.DataFrame({"group": group}).select(pl.int_range(pl.len()).over("group") % 2).to_series()
    approved = np.zeros(margin.size, dtype=bool)
    for judged in (half.to_numpy() == 0, half.to_numpy() == 1):
        limits = cutoffs(margin[~judged], group[~judged], approval_rate=approval_rate, strength=strength)
        approved[judged] = _above(margin[judged], group[judged], limits) <= 0
    return approved


def _reduced(
    classifier: Any, rows: Rows, good: IntArray, *, moment: str, strength: float, decided: Floats
) -> Any:
    from fairlearn import reductions

    kind = getattr(reductions, moment)
    parity = kind(difference_bound=0.0)
    parity.load_data(rows.features, good, sensitive_features=rows.group)
    violated = parity.gamma(lambda _: decided).clip(lower=0)
    # By the size of the group, so that a row's weight moves with its group's gap and not with its smallness.
    multipliers = violated * parity.prob_group_event.reindex(violated.index.droplevel(0)).to_numpy()
    longest = parity.signed_weights(multipliers).abs().max()
    multipliers *= strength * LONGEST_STEP / longest if longest > ROUNDING else 0.0
    search = reductions.GridSearch(classifier, kind(difference_bound=0.0), grid=multipliers.to_frame(0))
    return search.fit(rows.features, good, sensitive_features=rows.group).predictors_[0]


def _above(margin: Floats, group: NDArray[Any], limits: Mapping[str, float]) -> Floats:
    groups, place = np.unique(group, return_inverse=True)
    return np.asarray(margin - np.array([limits[str(name)] for name in groups])[place])
