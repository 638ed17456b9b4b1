"""How much hangs on what is assumed of the declined: ranking, decisions and, where it is known, the error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from workbench.scorer import Floats
from workbench.statistics.estimate import Estimate, undefined
from workbench.statistics.means import mean_estimate
from workbench.statistics.proportions import wilson
from workbench.statistics.ranking import auc, compare_auc, rank_correlation
from workbench.statistics.samples import raise_faults
from workbench.statistics.truth import prob_errors
from workbench.training.equal_risk import rate_faults
from workbench.training.folds import Folds
from workbench.training.rejects import BANDS, Inference, augmented, check_declined, known_prob, predicted

METHOD = "DeLong (auc, difference), Bonett-Wright (rank_correlation), Wilson (flipped), normal (errors)"


def reject_sensitivity(
    features: Floats,
    default: Floats,
    declined: Floats,
    folds: Folds,
    *,
    settings: Mapping[str, Any],
    rounds: int,
    prudence: Sequence[float],
    approval_rate: float,
    bands: int = BANDS,
    true_prob_default: Floats | None = None,
    level: float,
    seed: int,
) -> pl.DataFrame:
    """Measure what each inference with each prudence changes, against a model of the approved alone.

    `features`, `default` and `folds` are the development sample's, `declined` [declined, features] those of
    `declined_rows`; no other sample has a part in it. Approved are predicted by models that saw neither them
    nor outcomes inferred with their help, declined by models of the whole sample; no PD is calibrated.

    Returns a row for each: inference; prudence (null for none); declined_bad_rate (assumed; for none, its
    mean PD); auc on the approved; difference (AUC minus that of none; 0 = as good, below 0 = ranks worse);
    rank_correlation (Spearman's, with the PDs of none over approved and declined; 1 = the same order);
    flipped (share of them whose decision differs where both models approve the safest `approval_rate`); and
    of the declined, null where `true_prob_default` [declined] is not known: log_odds_bias (mean log-odds of
    the PD minus the true ones; 0 = right, above 0 = too high), absolute_error (mean |PD - true PD|),
    error_change (that minus none's; below 0 = the inference helps). Each of these has low and high; then
    level and method. Time: (folds + 1) x (4 + 2 x prudences) trainings.

    Raises:
        DataError: arrays that do not fit, no prudence or one below 1, or a rate outside (0, 1).
    """
    truth = {} if true_prob_default is None else {"true_prob_default": (true_prob_default, len(declined))}
    check_declined(features, default, declined, prudence, bands=bands, probs=truth)
    raise_faults("The declined cannot be assessed", rate_faults(approval_rate))
    ways: list[tuple[Inference, float]] = [("none", 1.0)]
    ways += [("fuzzy", k) for k in prudence] + [("parcelling", k) for k in prudence]

    def models(approved: tuple[Floats, Floats], judged: Floats) -> list[tuple[Floats, float | None]]:
        """Return the PDs of `judged` and the bad rate assumed of the declined, for each of `ways`."""
        known = known_prob(*approved, declined, settings=settings, rounds=rounds, seed=seed)
        made = [augmented(known, *way, bands=bands, seed=seed) for way in ways]
        fits = [predicted(rows, judged, settings=settings, rounds=rounds) for rows in made]
        return [(prob, rows.declined_bad_rate) for prob, rows in zip(fits, made, strict=True)]

    own = np.full((len(ways), default.size), np.nan)
    for fitted, judged in folds.pairs:
        own[:, judged] = [prob for prob, _ in models((features[fitted], default[fitted]), features[judged])]
    own, bad, others = own[:, folds.judged], default[folds.judged], models((features, default), declined)
    base, first = own[0], others[0][0]
    rows = [
        {"inference": inference, "prudence": None if inference == "none" else k, "declined_bad_rate": rate}
        | _ranked(bad, base, prob, level)
        | _moved((base, first), (prob, other), approval_rate, level)
        | _errors(other, first, true_prob_default, level)
        | {"level": level, "method": f"{METHOD}; {len(folds.pairs)} folds"}
        for (inference, k), prob, (other, rate) in zip(ways, own, others, strict=True)
    ]
    texts = dict.fromkeys(("inference", "method"), pl.String)
    columns = dict.fromkeys(rows[0], pl.Float64) | texts
    return pl.DataFrame(rows, schema=columns)


def _ranked(bad: Floats, base: Floats, prob: Floats, level: float) -> dict[str, float | None]:
    itself = base is prob or np.array_equal(base, prob)
    gap = undefined(level, "none itself") if itself else compare_auc(bad, base, prob, level=level).difference
    return _columns("auc", auc(bad, prob, level=level)) | _columns("difference", gap)


def _moved(
    base: tuple[Floats, Floats], model: tuple[Floats, Floats], approval_rate: float, level: float
) -> dict[str, float | None]:
    """Return rank correlation and share of flipped decisions over approved and declined together."""
    old, new = np.concatenate(base), np.concatenate(model)
    decided = [prob <= np.quantile(prob, approval_rate, method="inverted_cdf") for prob in (old, new)]
    flips = wilson(int(np.sum(decided[0] != decided[1])), old.size, level=level)
    if np.array_equal(old, new):
        flips = Estimate(0.0, None, None, level, "none itself")
    return _columns("rank_correlation", rank_correlation(old, new, level=level)) | _columns("flipped", flips)


def _errors(prob: Floats, base: Floats, truth: Floats | None, level: float) -> dict[str, float | None]:
    """Return the errors of the declined's PDs against their true ones, where these are known."""
    unknown = undefined(level, "the true PD is not known")
    names = ("log_odds_bias", "absolute_error", "error_change")
    if truth is None:
        return {key: value for name in names for key, value in _columns(name, unknown).items()}
    change = mean_estimate(np.abs(prob - truth) - np.abs(base - truth), level=level)
    itself = np.array_equal(prob, base)
    made = prob_errors(prob, truth, level=level)
    made["error_change"] = undefined(level, "none itself") if itself else change
    return {key: value for name in names for key, value in _columns(name, made[name]).items()}


def _columns(name: str, estimate: Estimate) -> dict[str, float | None]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
