"""Calibration of the margin: methods fitted and compared on a sample that trained nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from workbench.errors import DataError, near_name
from workbench.scorer import Calibration, Floats, beta_terms
from workbench.statistics.estimate import Estimate, normal_estimate, undefined
from workbench.statistics.means import mean_estimate
from workbench.statistics.samples import IntArray, checked_sample, raise_faults
from workbench.training.folds import Folds, out_of_fold

RULES = ("simplest", "best")


def fit_calibration(margin: Floats, default: Floats, *, method: str, least_defaults: int) -> Calibration:
    """Return the calibration of margins (log-odds of default) on the calibration sample.

    platt: log-odds = intercept + slope x margin by maximum likelihood. beta: intercept + slope ln p -
    slope_risky ln(1 - p), p the margin's own PD, likewise. Slopes that would be below 0 are held at 0, so
    that no order is turned. isotonic: the rising default rates that are most likely, each at the mean margin
    of its block, with straight lines in log-odds between them (centred isotonic regression), so that few
    scores tie; the mean PD then differs a little from the default rate. A first block without a default, or
    last one without a good, gets the rate (defaults + 0.5) / (applicants + 1), so that no PD is 0 or 1. none:
    the neutral one, intercept 0 and slope 1, whatever the sample.

    Raises:
        DataError: the sample has fewer defaults or goods than `least_defaults`, or another `method`.

    References: Platt 1999, "Probabilistic outputs for support vector machines"; Kull, Silva Filho and Flach
    2017, "Beta calibration", AISTATS; Zadrozny and Elkan 2002, "Transforming classifier scores", KDD; Oron
    and Flournoy 2017, "Centered isotonic regression", Statistics in Biopharmaceutical Research 9: 258-267.
    """
    raise_faults("The margin cannot be calibrated", _method_faults((method,)))
    if method == "none":
        return Calibration()
    raise_faults(*_size_faults(default, least_defaults))
    return METHODS[method](margin, default)


def compare_calibrations(
    margin: Floats,
    default: Floats,
    *,
    methods: Sequence[str] = ("none", "platt", "beta", "isotonic"),
    folds: int,
    seed: int,
    least_defaults: int,
    level: float,
    rule: str = "simplest",
) -> pl.DataFrame:
    """Compare calibrations by cross-validation within the calibration sample; which is chosen follows `rule`.

    `margin` and `default` are the sample's [applicants]; folds are drawn at random within goods and within
    defaults, and every applicant is judged once, by a calibration fitted on the others. Time: methods x
    (`folds` + 1) fits.

    Returns a row for each of `methods`: calibration; parameters (numbers it fits; of isotonic on the whole
    sample); log_loss (mean -ln of the PD of what happened, in nats; lower is better), its low, high and
    standard error se; difference (to the lowest log loss; 0 = as good) with low, high and se, paired by
    applicant; brier_score with low and high; slope and intercept of the outcomes on the calibrated log-odds,
    each with low and high (1 and 0 = right; a slope below 1 = too extreme); chosen (`choose_calibration`);
    level; method (of the intervals). The intervals hold the folds' calibrations as they are. Where the sample
    is too small to calibrate and the rule is "none", that alone is measured.

    Raises:
        DataError: as `fit_calibration`, and for a `rule` that cannot be followed.
    """
    checked_sample(default, scores={"margin": margin}, both_classes=True)
    raise_faults("Calibrations cannot be compared", _method_faults(methods))
    summary, faults = _size_faults(default, max(least_defaults, folds))
    if rule == "none" and faults:
        methods, faults = ("none",), []
    raise_faults(summary, faults)
    pairs = _folds(default, folds, seed) if set(methods) != {"none"} else Folds(())
    found = {method: _out_of_fold(margin, default, pairs, method) for method in methods}
    loss = {method: np.logaddexp(0, odds) - default * odds for method, odds in found.items()}
    best = min(methods, key=lambda method: float(loss[method].mean()))
    rows = [
        {
            "calibration": method,
            "parameters": METHODS[method](margin, default).parameters,
            **_columns("log_loss", mean_estimate(loss[method], level=level), _error(loss[method])),
            **_against(loss[method] - loss[best], level),
            **_columns("brier_score", mean_estimate(_squares(default, odds), level=level)),
            **_line(odds, default, level),
            "level": level,
            "method": f"normal over applicants, paired (difference), Wald (slope); {_basis(pairs)}",
        }
        for method, odds in found.items()
    ]
    texts = dict.fromkeys(("calibration", "method"), pl.String)
    columns = dict.fromkeys(rows[0], pl.Float64) | {"parameters": pl.Int64} | texts
    table = pl.DataFrame(rows, schema=columns)
    chosen = table["calibration"] == choose_calibration(table, rule)
    return table.insert_column(table.columns.index("level"), chosen.alias("chosen"))


def choose_calibration(table: pl.DataFrame, rule: str) -> str:
    """Return the calibration that a rule chooses from the table of `compare_calibrations`.

    simplest: of those whose log loss lies within one standard error of the paired difference from the best,
    the simplest, in the order none, platt, beta, isotonic. best: the lowest log loss, of equals the simplest.
    Another rule names a calibration of the table.

    Raises:
        DataError: a rule that is none of these.

    Reference: Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, section 7.10.
    """
    order = list(METHODS)
    ranked = table.sort(pl.col("calibration").replace_strict(order, range(len(order))))
    if rule == "best":
        return str(ranked.sort("log_loss", maintain_order=True)["calibration"][0])
    if rule == "simplest":
        within = ranked.filter(pl.col("difference") <= pl.col("difference_se").fill_null(0.0))
        return str(within["calibration"][0])
    names = table["calibration"].to_list()
    if rule not in names:
        known = [*RULES, *names]
        right = f"training.calibration is one of {', '.join(known)}"
        raise DataError(f"no calibration: {rule} is none that was compared{near_name(rule, known)}", [right])
    return rule


def _platt(margin: Floats, default: Floats) -> Calibration:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=float("inf")).fit(margin.reshape(-1, 1), default)
    if model.coef_[0, 0] < 0:
        return Calibration(intercept=_log_odds(float(default.mean())), slope=0.0)
    return Calibration(intercept=float(model.intercept_[0]), slope=float(model.coef_[0, 0]))


def _beta(margin: Floats, default: Floats) -> Calibration:
    """Maximise the likelihood with both slopes held at or above 0, where it has one maximum."""
    from scipy.optimize import minimize
    from scipy.special import expit

    terms = np.column_stack(beta_terms(margin))
    scales = np.where(terms.std(axis=0) > 0, terms.std(axis=0), 1.0)
    design = np.column_stack([np.ones(margin.size), terms / scales])

    def loss(coefficients: Floats) -> tuple[float, Floats]:
        odds = design @ coefficients
        gradient: Floats = design.T @ (expit(odds) - default) / default.size
        return float(np.mean(np.logaddexp(0, odds) - default * odds)), gradient

    start = np.array([_log_odds(float(default.mean())), 0.0, 0.0])
    bounds = [(None, None), (0, None), (0, None)]
    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    intercept, safe, risky = (found.x / [1.0, *scales]).tolist()
    return Calibration(intercept, safe, risky)


def _isotonic(margin: Floats, default: Floats) -> Calibration:
    margins, place = np.unique(margin, return_inverse=True)
    sizes = np.bincount(place).astype(float)
    sizes, rates, centres = _blocks(sizes, np.bincount(place, default) / sizes, margins)
    certain = (rates == 0) | (rates == 1)
    rates = np.where(certain, (rates * sizes + 0.5) / (sizes + 1), rates)
    _, rates, centres = _blocks(sizes, rates, centres)  # the bound may have turned the order
    log_odds = np.log(rates) - np.log1p(-rates)
    return Calibration(knots=tuple(zip(centres.tolist(), log_odds.tolist(), strict=True)))


def _blocks(sizes: Floats, rates: Floats, centres: Floats) -> tuple[Floats, Floats, Floats]:
    """Return size, rate and mean margin of the blocks of isotonic regression, whose rates rise."""
    from scipy.optimize import isotonic_regression

    fitted = isotonic_regression(rates, weights=sizes)
    starts = fitted.blocks[:-1]
    totals = np.add.reduceat(sizes, starts)
    return totals, fitted.x[starts], np.add.reduceat(sizes * centres, starts) / totals


METHODS: dict[str, Callable[[Floats, Floats], Calibration]] = {
    "none": lambda *_: Calibration(),
    "platt": _platt,
    "beta": _beta,
    "isotonic": _isotonic,
}
"""Every method, the simplest first."""


def _folds(default: Floats, folds: int, seed: int) -> Folds:
    from sklearn.model_selection import StratifiedKFold

    drawn = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return Folds(tuple(drawn.split(np.zeros(default.size), default)))


def _out_of_fold(margin: Floats, default: Floats, folds: Folds, method: str) -> Floats:
    if method == "none":
        return margin

    def predict(fitted: IntArray, judged: IntArray) -> Floats:
        return METHODS[method](margin[fitted], default[fitted]).log_odds(margin[judged])

    return out_of_fold(folds, default.size, predict)


def _against(losses: Floats, level: float) -> dict[str, float | None]:
    """Return the columns of a difference to the best; the best itself has no interval."""
    if not losses.any():
        return _columns("difference", Estimate(0.0, None, None, level, "the best itself"), None)
    return _columns("difference", mean_estimate(losses, level=level), _error(losses))


def _line(log_odds: Floats, default: Floats, level: float) -> dict[str, float | None]:
    """Return slope and intercept of outcomes on log-odds by maximum likelihood, with Wald's intervals."""
    from scipy.special import expit
    from sklearn.linear_model import LogisticRegression

    found = dict.fromkeys(("slope", "intercept"), undefined(level, "all log-odds are equal"))
    if np.ptp(log_odds) > 0:
        model = LogisticRegression(C=float("inf"), tol=1e-8, max_iter=1000).fit(
            log_odds.reshape(-1, 1), default
        )
        values = {"intercept": float(model.intercept_[0]), "slope": float(model.coef_[0, 0])}
        prob = expit(values["intercept"] + values["slope"] * log_odds)
        design = np.column_stack([np.ones(log_odds.size), log_odds])
        variances = np.diag(np.linalg.pinv(design.T @ (design * (prob * (1 - prob))[:, np.newaxis])))
        for (name, value), variance in zip(values.items(), variances, strict=True):
            found[name] = normal_estimate(value, float(np.sqrt(variance)), level=level, method="Wald")
    return _columns("slope", found["slope"]) | _columns("intercept", found["intercept"])


def _columns(name: str, estimate: Estimate, *error: float | None) -> dict[str, float | None]:
    ends = {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return ends | {f"{name}_se": value for value in error}


def _error(values: Floats) -> float:
    return float(values.std(ddof=1) / np.sqrt(values.size))


def _squares(default: Floats, log_odds: Floats) -> Floats:
    from scipy.special import expit

    squares: Floats = (expit(log_odds) - default) ** 2
    return squares


def _basis(folds: Folds) -> str:
    return f"out of fold, {len(folds.pairs)} folds" if folds.pairs else "nothing was fitted"


def _log_odds(prob: float) -> float:
    return float(np.log(prob) - np.log1p(-prob))


def _method_faults(methods: Sequence[str]) -> list[str]:
    unknown = [name for name in methods if name not in METHODS]
    right = f"the methods are {', '.join(METHODS)}"
    faults = [f"{name} is no calibration{near_name(name, METHODS)}; {right}" for name in unknown]
    return faults if methods else [f"no method is named; {right}"]


def _size_faults(default: Floats, least: int) -> tuple[str, list[str]]:
    """Return the summary of the sample's size and, where it is too small to calibrate, what to do."""
    defaults = int(default.sum())
    goods = default.size - defaults
    right = [
        f"training.min_calibration_defaults asks for {least:,} of each",
        "raise data.calibration_share, or set training.calibration to none",
    ]
    summary = f"the calibration sample has {defaults:,} defaults and {goods:,} goods; too small to calibrate"
    return summary, right if min(defaults, goods) < least else []
