"""Hyperparameter search: Optuna over cross-validated boosters on the development sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import numpy as np
import polars as pl

from workbench.journal import RESULT, finished_trials, open_study, search_key
from workbench.scorer import Floats
from workbench.training.checks import WHOLE_NUMBERS, check_space
from workbench.training.folds import Folds

Winner = Literal["best", "one_standard_error"]
SEARCHED = ("max_depth", "learning_rate", "min_child_weight", "subsample", "colsample_bytree", "reg_lambda")
LOGARITHMIC = ("learning_rate", "min_child_weight", "reg_lambda")
UNPRUNED = 5  # trials judged on all folds before any is pruned; Optuna's own default
DEPTH = 6  # XGBoost's max_depth where nothing sets it


@dataclass(frozen=True)
class SearchResult:
    """The chosen trial, the table of all of them, how many were found finished, and what must be known."""

    settings: dict[str, float]
    rounds: int
    trials: pl.DataFrame
    resumed: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Judging:
    """How a trial is judged: fold matrices, settings that no trial varies, and when training stops."""

    matrices: list[tuple[Any, Any]]
    base: Mapping[str, Any]
    max_rounds: int
    early_stopping_rounds: int
    pruning: bool


def search_champion(
    features: Floats,
    default: Floats,
    folds: Folds,
    *,
    space: Mapping[str, Sequence[float]],
    base: Mapping[str, Any],
    trials: int,
    seconds: float = 0,
    max_rounds: int,
    early_stopping_rounds: int,
    pruning: bool,
    winner: Winner,
    seed: int,
    journal: Path | None = None,
) -> SearchResult:
    """Return the winner among cross-validated settings, and every trial.

    Trials are proposed by Optuna's TPE sampler from `space` (name: low and high; learning_rate,
    min_child_weight and reg_lambda on a log scale) on top of `base`, the settings that no trial varies. A
    trial trains one booster per fold with early stopping on that fold's log loss; `rounds` is the mean of
    the folds' best rounds. With `pruning`, a trial stops after a fold when it has fallen behind too far to
    win (`is_behind`). `winner` is explained at `winning_trial`.

    The search ends after `trials`, or after the trial in which `seconds` of searching are spent (0: no
    such limit). A search that time ended is not reproducible: another machine tries more or fewer. What a
    `journal` holds of the same search is not done again, and counts for `trials` and `seconds`: killed at any
    moment, the search ends with the same settings, rounds and trials. Its key covers data, folds, space,
    base, rounds, pruning and seed; a journal with another key, or damaged, is replaced, and `notes` says so.
    Only one process may use a journal at a time.

    Trials: trial, status (finished or pruned), each setting of the space, rounds, log_loss (mean of the
    folds), log_loss_sd (over the folds, null with one fold), auc (mean), chosen. A pruned trial's numbers are
    of the folds it was judged on, and do not compare with those of the finished.

    Raises:
        ParamsError: the space is empty or contradicts `base`.
    """
    check_space(space, base)
    plan = {
        "space": {name: [float(limit) for limit in limits] for name, limits in space.items()},
        "base": dict(base),
        "rounds": [max_rounds, early_stopping_rounds],
        "pruning": pruning,
        "seed": seed,
    }
    key = search_key(plan, [features, default, *chain(*folds.pairs)]) if journal else ""
    study, notes = open_study(journal, key=key)
    resumed = finished_trials(study)[:trials]
    judging = _Judging(
        [] if len(resumed) == trials else _fold_matrices(features, default, folds),
        base,
        max_rounds,
        early_stopping_rounds,
        pruning,
    )
    done, ended = _search(study, judging, space=space, trials=trials, seconds=seconds, seed=seed)
    table = pl.DataFrame(
        [_row(number, trial, space) for number, trial in enumerate(done, 1)], schema_overrides=_types(space)
    )
    number = winning_trial(
        table, winner=winner, folds=len(folds.pairs), max_depth=int(base.get("max_depth", DEPTH))
    )
    chosen = table.row(number - 1, named=True)
    return SearchResult(
        {name: chosen[name] for name in space},
        chosen["rounds"],
        table.with_columns(chosen=pl.col("trial") == number),
        len(resumed),
        notes + ended,
    )


def winning_trial(trials: pl.DataFrame, *, winner: Winner, folds: int, max_depth: int = DEPTH) -> int:
    """Return the number of the trial that a rule chooses among those judged on all folds.

    best: the lowest mean log loss. one_standard_error: the simplest trial (fewest leaves, rounds x
    2^max_depth; then the lower loss) whose mean loss is at most the best one's plus one standard error,
    the standard deviation of the best trial's fold losses / sqrt(folds). `trials` has trial, status, rounds,
    log_loss, log_loss_sd and, where it was searched, max_depth; otherwise all have the `max_depth` given.
    Breiman, Friedman, Olshen and Stone (1984); Hastie, Tibshirani and Friedman (2009), section 7.10.
    """
    finished = trials.filter(pl.col("status") == "finished").sort("log_loss", "trial")
    best = finished.row(0, named=True)
    if winner == "best":
        return int(best["trial"])
    line = best["log_loss"] + _standard_error(best["log_loss_sd"], folds)
    depth = pl.col("max_depth") if "max_depth" in trials.columns else pl.lit(max_depth)
    leaves = pl.col("rounds") * 2.0**depth
    simplest = finished.filter(pl.col("log_loss") <= line).sort(leaves, "log_loss", "trial")
    return int(simplest["trial"][0])


def is_behind(losses: Sequence[float], others: Sequence[Sequence[float]]) -> bool:
    """Whether a trial's mean loss so far is too high for it to be worth finishing.

    Its mean is above the median of the finished trials' means over the same folds (median stopping rule;
    Golovin et al., 2017, Google Vizier), and above the best trial's mean over these folds by more than its
    standard error: a trial that `winning_trial` could still choose is finished. `losses` are of the folds so
    far, `others` the fold losses of the finished trials; with fewer than five nothing is behind.

    Optuna's MedianPruner compares the lowest mean so far, so that an easy first fold shields a trial from
    every later comparison, and it knows no standard error.
    """
    if len(others) < UNPRUNED:
        return False
    table = np.array(others)
    best = table[table.mean(axis=1).argmin()]
    means = table[:, : len(losses)].mean(axis=1)
    line = best[: len(losses)].mean() + _standard_error(float(np.std(best, ddof=1)), best.size)
    return float(np.mean(losses)) > max(float(np.median(means)), float(line))


def _standard_error(sd: float | None, folds: int) -> float:
    return (sd or 0.0) / float(np.sqrt(folds))


def _search(
    study: Any,
    judging: _Judging,
    *,
    space: Mapping[str, Sequence[float]],
    trials: int,
    seconds: float,
    seed: int,
) -> tuple[list[Any], tuple[str, ...]]:
    from optuna.samplers import TPESampler

    distributions = {name: _distribution(name, *space[name]) for name in sorted(space)}
    done = finished_trials(study)[:trials]
    start = monotonic() - sum(trial.duration.total_seconds() for trial in done)
    while len(done) < trials:
        if done and seconds and monotonic() - start >= seconds:
            return done, (f"the {seconds:g} seconds ended the search after {len(done)} of {trials} trials",)
        # A sampler of its own for every trial: a resumed search draws what an undisturbed one draws.
        drawn = int(np.random.SeedSequence([seed, len(done)]).generate_state(1)[0])
        study.sampler = TPESampler(seed=drawn, constant_liar=False)
        _judge(study, study.ask(distributions), judging, done)
        done = finished_trials(study)
    return done, ()


def _judge(study: Any, trial: Any, judging: _Judging, done: Sequence[Any]) -> None:
    """Train a trial's boosters, fold by fold, and tell the study how it ended."""
    from optuna.trial import TrialState

    finished = [other for other in done if other.state == TrialState.COMPLETE]
    others = [other.user_attrs[RESULT]["log_loss"] for other in finished]
    result: dict[str, list[float]] = {"rounds": [], "log_loss": [], "auc": []}
    losses, behind = result["log_loss"], False
    for train, judged in judging.matrices:
        for name, value in _fold_result(judging, trial.params, train, judged).items():
            result[name].append(value)
        trial.report(float(np.mean(losses)), step=len(losses))  # by it TPE ranks the pruned
        behind = judging.pruning and len(losses) < len(judging.matrices) and is_behind(losses, others)
        if behind:
            break
    trial.set_user_attr(RESULT, {"trial": len(done) + 1, **result})
    if behind:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, float(np.mean(losses)))


def _fold_result(judging: _Judging, settings: Mapping[str, Any], train: Any, judged: Any) -> dict[str, float]:
    import xgboost
    from sklearn.metrics import roc_auc_score

    booster = xgboost.train(
        {**judging.base, **settings},
        train,
        num_boost_round=judging.max_rounds,
        evals=[(judged, "judged")],
        early_stopping_rounds=judging.early_stopping_rounds,
        verbose_eval=False,
    )
    rounds = booster.best_iteration + 1
    prob = booster.predict(judged, iteration_range=(0, rounds))
    auc = float(roc_auc_score(judged.get_label(), prob))
    return {"rounds": rounds, "log_loss": float(booster.best_score), "auc": auc}


def _fold_matrices(features: Floats, default: Floats, folds: Folds) -> list[tuple[Any, Any]]:
    from xgboost import QuantileDMatrix

    pairs = []
    for fitted, judged in folds.pairs:
        train = QuantileDMatrix(features[fitted], default[fitted])
        pairs.append((train, QuantileDMatrix(features[judged], default[judged], ref=train)))
    return pairs


def _row(number: int, trial: Any, space: Mapping[str, Any]) -> dict[str, Any]:
    from optuna.trial import TrialState

    result = trial.user_attrs[RESULT]
    losses = result["log_loss"]
    return {
        "trial": number,
        "status": "finished" if trial.state == TrialState.COMPLETE else "pruned",
        **{name: trial.params[name] for name in space},
        "rounds": round(float(np.mean(result["rounds"]))),
        "log_loss": float(np.mean(losses)),
        "log_loss_sd": float(np.std(losses, ddof=1)) if len(losses) > 1 else None,
        "auc": float(np.mean(result["auc"])),
    }


def _types(space: Mapping[str, Any]) -> dict[str, Any]:
    settings = {name: pl.Int64 if name in WHOLE_NUMBERS else pl.Float64 for name in space}
    return {**settings, "log_loss_sd": pl.Float64}


def _distribution(name: str, low: float, high: float) -> Any:
    from optuna.distributions import FloatDistribution, IntDistribution

    if name in WHOLE_NUMBERS:
        return IntDistribution(int(low), int(high))
    return FloatDistribution(float(low), float(high), log=name in LOGARITHMIC)
