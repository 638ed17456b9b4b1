"""The challengers: scorecard, logistic regression, explainable boosting machine on the champion's rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import compress
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import near_name
from workbench.scorer import Floats, ScoreScale, model_matrix
from workbench.statistics.samples import IntArray, checked_sample, raise_faults
from workbench.training.scorecard import ScorecardModel, fit_scorecard

Flags = NDArray[np.bool_]
LOGISTIC_PENALTY = 1.0
"""Weight of half the sum of squared coefficients, each per standard deviation, beside the summed log loss: it
keeps features that say the same from cancelling out, and moves little from a few hundred defaults upwards."""
EXPLAINABLE_BOOSTING = {
    "outer_bags": 1,
    "inner_bags": 0,
    "interactions": 0,
    "max_bins": 64,
    "learning_rate": 0.1,
    "smoothing_rounds": 20,
    "early_stopping_rounds": 20,
    "n_jobs": 1,
}
"""The library's own settings (14 bags, pairs, 1,024 bins) are for when minutes do not count."""


@dataclass(frozen=True)
class Linear:
    """A logistic regression of plain numbers; `Linear(**model.as_dict())` gives it back from JSON.

    `medians` stand in for missing values [features]; `means`, `scales` (1 where nothing varied) and
    `coefficients` (log-odds of default per standard deviation) are of the values of each feature, then of
    the indicators that it is missing [2 x features].
    """

    names: Sequence[str]
    medians: Sequence[float]
    means: Sequence[float]
    scales: Sequence[float]
    coefficients: Sequence[float]
    intercept: float

    def margin(self, features: pl.DataFrame) -> Floats:
        """Return the log-odds of default, one per row of `features`."""
        design = _design(_matrix(features, self.names), np.asarray(self.medians))
        weights = np.asarray(self.coefficients) / np.asarray(self.scales)
        margin: Floats = self.intercept + (design - np.asarray(self.means)) @ weights
        return margin

    def table(self) -> pl.DataFrame:
        """Return the coefficients in the model, largest first.

        Returns columns feature, term (value, or missing for the indicator that it is), coefficient (log-odds
        of default per standard deviation; above 0 = riskier, 0 = no effect). A penalised fit has no honest
        interval, so none is given.
        """
        terms = [(name, term) for term in ("value", "missing") for name in self.names]
        rows = [(*term, coefficient) for term, coefficient in zip(terms, self.coefficients, strict=True)]
        columns = {"feature": pl.String, "term": pl.String, "coefficient": pl.Float64}
        table = pl.DataFrame([row for row in rows if row[2]], schema=columns, orient="row")
        order = [pl.col("coefficient").abs(), pl.col("feature"), pl.col("term")]
        return table.sort(order, descending=[True, False, True])

    def as_dict(self) -> dict[str, Any]:
        """Return the model as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Additive:
    """An explainable boosting machine as plain steps; `Additive(**model.as_dict())` gives it back from JSON.

    For each feature: `edges`, rising, and its `contributions` to the log-odds of default: where missing,
    below the first edge, from each edge to below the next one. `importances` are their mean absolute values
    in the sample fitted on.
    """

    names: Sequence[str]
    edges: Sequence[Sequence[float]]
    contributions: Sequence[Sequence[float]]
    importances: Sequence[float]
    intercept: float

    def margin(self, features: pl.DataFrame) -> Floats:
        """Return the log-odds of default, one per row of `features`."""
        margin = np.full(features.height, self.intercept)
        columns = _matrix(features, self.names).T
        for values, edges, steps in zip(columns, self.edges, self.contributions, strict=True):
            margin += np.asarray(steps)[_step(values, np.asarray(edges))]
        return margin

    def table(self) -> pl.DataFrame:
        """Return feature and importance (mean absolute contribution in log-odds; 0 = unused), largest first.

        A description of this model, not an estimate of anything beyond it, hence without interval.
        """
        table = pl.DataFrame({"feature": list(self.names), "importance": list(self.importances)})
        return table.sort("importance", "feature", descending=[True, False])

    def as_dict(self) -> dict[str, Any]:
        """Return the model as a JSON object."""
        return asdict(self)


Challenger = ScorecardModel | Linear | Additive


@dataclass(frozen=True)
class ChallengerSettings:
    """What the challengers are fitted with: features, expected directions and the scorecard's settings.

    `monotone` (+1, -1 or 0 for each of `names`), `max_bins`, `min_information_value` and `scale` are the
    scorecard's; `seed` draws the explainable boosting machine's rows for early stopping.
    """

    names: Sequence[str]
    monotone: Sequence[int]
    max_bins: int
    min_information_value: float
    scale: ScoreScale
    seed: int

    def varying(self, features: pl.DataFrame) -> ChallengerSettings:
        """Return the settings for the features that vary in these rows; a source may begin after them."""
        matrix = _matrix(features, self.names)
        varies = _informs(matrix)
        names, monotone = compress(self.names, varies), compress(self.monotone, varies)
        return replace(self, names=tuple(names), monotone=tuple(monotone))


def fit_logistic(features: pl.DataFrame, default: Floats, *, names: Sequence[str]) -> Linear:
    """Return a logistic regression with an L2 penalty of fixed strength, `LOGISTIC_PENALTY`.

    A missing value is the median, and an indicator says so where a feature has missing values; all columns
    are standardised. Nothing is drawn, so there is no seed. Raises DataError for an outcome of one class, and
    for a feature that is infinite or does not vary.
    """
    from sklearn.linear_model import LogisticRegression

    matrix = _checked(features, default, names)
    medians = np.nanmedian(matrix, axis=0)
    design = _design(matrix, medians)
    varies = _varies(design)
    means, scales = design.mean(axis=0), np.where(varies, design.std(axis=0), 1.0)
    model = LogisticRegression(C=1 / LOGISTIC_PENALTY, tol=1e-6, max_iter=1000)
    model.fit(((design - means) / scales)[:, varies], default)
    coefficients = np.zeros(varies.size)
    coefficients[varies] = model.coef_[0]
    return Linear(
        names=tuple(names),
        medians=tuple(medians.tolist()),
        means=tuple(means.tolist()),
        scales=tuple(scales.tolist()),
        coefficients=tuple(coefficients.tolist()),
        intercept=float(model.intercept_[0]),
    )


def fit_explainable_boosting(
    features: pl.DataFrame, default: Floats, *, names: Sequence[str], seed: int, max_rounds: int = 300
) -> Additive:
    """Return an explainable boosting machine without interactions: one step function for each feature.

    Missing values get a step of their own. Of the rows, 15% (drawn by `seed`) stop the boosting early, after
    at most `max_rounds` passes over the features. Raises DataError as `fit_logistic`.

    Reference: Lou, Caruana and Gehrke (2012), "Intelligible models for classification and regression", KDD.
    """
    from interpret.glassbox import ExplainableBoostingClassifier

    matrix = _checked(features, default, names)
    kinds = ["continuous"] * len(names)
    model = ExplainableBoostingClassifier(
        list(names), kinds, max_rounds=max_rounds, random_state=seed, **EXPLAINABLE_BOOSTING
    )
    with warnings.catch_warnings():  # it warns that its charts leave out the missing; we draw none of them
        warnings.filterwarnings("ignore", message="Missing values detected")
        model.fit(matrix, default.astype(np.int64))
    return Additive(
        names=tuple(names),
        edges=tuple(tuple(bins[0].tolist()) for bins in model.bins_),
        contributions=tuple(tuple(steps[:-1].tolist()) for steps in model.term_scores_),  # last: no number
        importances=tuple(model.term_importances().tolist()),
        intercept=float(model.intercept_[0]),
    )


def fit_challengers(
    features: pl.DataFrame, default: Floats, settings: ChallengerSettings
) -> dict[str, Challenger]:
    """Return every challenger, by name (scorecard, logistic, explainable_boosting), fitted on these rows.

    Raises DataError as `fit_scorecard` and `fit_logistic`.
    """
    return {name: fit(features, default, settings) for name, fit in FITS.items()}


def challenger_margins(challengers: Mapping[str, Challenger], features: pl.DataFrame) -> pl.DataFrame:
    """Return applicant_id and each challenger's margin (log-odds of default), one row per row of `features`.

    Raises DataError when a feature of a challenger is not in the table.
    """
    margins = {name: challenger_margin(model, features) for name, model in challengers.items()}
    return pl.DataFrame({"applicant_id": features["applicant_id"], **margins})


def challenger_margin(challenger: Challenger, features: pl.DataFrame) -> Floats:
    """Return a challenger's log-odds of default, one per row of `features`."""
    if not isinstance(challenger, ScorecardModel):
        return challenger.margin(features)
    prob = challenger.prob_default(features)
    margin: Floats = np.log(prob) - np.log1p(-prob)
    return margin


FITS: dict[str, Callable[[pl.DataFrame, Floats, ChallengerSettings], Challenger]] = {
    "scorecard": lambda features, default, settings: fit_scorecard(
        features,
        default,
        names=settings.names,
        monotone=settings.monotone,
        max_bins=settings.max_bins,
        min_information_value=settings.min_information_value,
        scale=settings.scale,
        seed=settings.seed,
    ),
    "logistic": lambda features, default, settings: fit_logistic(features, default, names=settings.names),
    "explainable_boosting": lambda features, default, settings: fit_explainable_boosting(
        features, default, names=settings.names, seed=settings.seed
    ),
}


def _checked(features: pl.DataFrame, default: Floats, names: Sequence[str]) -> Floats:
    checked_sample(default, both_classes=True)
    matrix = _matrix(features, names)
    faults = list(_feature_faults(matrix, names))
    if default.size != features.height:
        faults.append(f"there are {default.size:,} outcomes for {features.height:,} rows of features")
    raise_faults("A challenger cannot be fitted", faults)
    return matrix


def _feature_faults(matrix: Floats, names: Sequence[str]) -> Iterator[str]:
    for name, values, informs in zip(names, matrix.T, _informs(matrix), strict=True):
        if not informs:
            what = "is always missing" if np.isnan(values).all() else "has one value only"
            yield f"{name} {what}; leave it out"
        infinite = int(np.isinf(values).sum())
        if infinite:
            yield f"{name} is infinite in {infinite:,} of {values.size:,} rows"


def _matrix(features: pl.DataFrame, names: Sequence[str]) -> Floats:
    missing = [name for name in names if name not in features.columns]
    faults = (f"{name} is missing{near_name(name, features.columns)}" for name in missing)
    raise_faults(f"{len(missing)} of {len(names)} features are not in the table", faults)
    return model_matrix(features, names)


def _informs(matrix: Floats) -> Flags:
    """Say for each feature whether its value varies, or whether it is missing does."""
    return _varies(matrix) | _varies(np.isnan(matrix).astype(np.float64))


def _varies(matrix: Floats) -> Flags:
    """Say for each column whether it takes at least two values, missing not being one."""
    varies: Flags = np.fmin.reduce(matrix, axis=0) < np.fmax.reduce(matrix, axis=0)
    return varies


def _design(matrix: Floats, medians: Floats) -> Floats:
    missing = np.isnan(matrix)
    return np.hstack([np.where(missing, medians, matrix), missing])


def _step(values: Floats, edges: Floats) -> IntArray:
    return np.where(np.isnan(values), 0, np.searchsorted(edges, values, side="right") + 1)
