"""The search for less discriminatory alternatives: Optuna over methods, features and settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from workbench.fairness.alternative_methods import METHODS, Model
from workbench.fairness.alternative_plan import Candidate, Plan, Problem
from workbench.fairness.pareto import pareto_front
from workbench.journal import RESULT, finished_trials, open_study, search_key
from workbench.scorer import Floats
from workbench.statistics.ranking import auc, compare_auc
from workbench.statistics.samples import raise_faults

CHAMPION = "champion"
CANDIDATES_SCHEMA: dict[str, Any] = {
    "candidate": pl.Int64,
    "method": pl.String,
    "needs_attribute_in_training": pl.Boolean,
    "needs_attribute_at_decision": pl.Boolean,
    "params": pl.String,
    **dict.fromkeys(
        ("search_loss", "search_loss_change", "search_loss_change_high", "search_disparity"), pl.Float64
    ),
    "on_front": pl.Boolean,
}
ANALYSIS_ONLY = "analysis only: no candidate may be used before counsel has decided"


@dataclass(frozen=True)
class Alternatives:
    """The table of candidates, the candidates by number, how many were found finished, and what to know."""

    table: pl.DataFrame
    candidates: tuple[Candidate, ...]
    resumed: int
    notes: tuple[str, ...]


def search_alternatives(
    problem: Problem, *, trials: int, level: float, seed: int, journal: Path | None = None
) -> Alternatives:
    """Return the candidates of the search, judged on its judging part, and the front of loss and disparity.

    Optuna's TPE sampler proposes method, strength, order and number of features left out, constraints and
    settings, for the least loss (1 - AUC) and the least disparity at the champion's approval rate; the first
    trials try each method once. With a `journal`, trials that it holds finished are not done again: killed at
    any moment, the search ends with the same candidates. A journal of another search is replaced, as a note
    says; without one the study lives in memory.

    Table: candidate (0 = the champion's own settings on the same rows), method, needs_attribute_in_training,
    needs_attribute_at_decision, params (in words), search_loss, search_loss_change (minus the champion's; 0 =
    as good, above 0 = worse), search_loss_change_high (its upper one-sided end at `level`, paired DeLong; the
    change itself where nothing varies), search_disparity (0 = equal) and on_front. These numbers chose the
    front and flatter it (winner's curse): `judge_alternatives` has those to believe.
    """
    faults = [f"{trials} trials; at least 1 is needed"] if trials < 1 else []
    faults += [] if 0.5 < level < 1 else [f"level is {level:g}; it is in (0.5, 1)"]
    raise_faults("The alternatives cannot be searched", faults)
    parts = (problem.fitting, problem.judging)
    arrays = [array for part in parts for array in (part.features, part.default, part.group, part.judged)]
    settings = {**asdict(problem.plan), "approval_rate": problem.approval_rate, "level": level, "seed": seed}
    settings["fairlearn"] = version("fairlearn")
    key = search_key(settings, arrays) if journal else ""
    study, notes = open_study(journal, key=key, objectives=2)
    resumed = finished_trials(study)[:trials]
    done = _search(problem, study, trials=trials, level=level, seed=seed)
    candidates = (Candidate(monotone=problem.plan.constrained), *(_candidate(t) for t in done))
    results = [_judged(problem, problem.champion, level), *(trial.user_attrs[RESULT] for trial in done)]
    rows = [_row(number, *pair) for number, pair in enumerate(zip(candidates, results, strict=True))]
    table = pl.DataFrame(rows)
    front = pareto_front(table["search_loss"], table["search_disparity"])
    labels = (ANALYSIS_ONLY,) if problem.plan.analysis_only else ()
    return Alternatives(
        table.with_columns(on_front=pl.Series(front)), candidates, len(resumed), (*labels, *notes)
    )


def _search(problem: Problem, study: Any, *, trials: int, level: float, seed: int) -> list[Any]:
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    distributions = _distributions(problem.plan)
    methods = distributions["method"].choices
    done = finished_trials(study)[:trials]
    while len(done) < trials:
        # A sampler of its own for every trial: a resumed search draws what an undisturbed one draws.
        drawn = int(np.random.SeedSequence([seed, len(done)]).generate_state(1)[0])
        study.sampler = TPESampler(seed=drawn, constant_liar=False)
        waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))  # since a kill
        if len(done) < len(methods) and not waiting:
            study.enqueue_trial({"method": methods[len(done)]})
        trial = study.ask(distributions)
        result = _judged(problem, problem.fit(_candidate(trial)), level)
        trial.set_user_attr(RESULT, {"trial": len(done) + 1, **result})
        study.tell(trial, [result["loss"], result["disparity"]])
        done = finished_trials(study)
    return done


def _judged(problem: Problem, model: Model, level: float) -> dict[str, float]:
    """Return loss, its change to the champion with the one-sided end, and disparity on the judging part."""
    bad, risk = problem.judging.default, model.risk(problem.judging)
    prob, champion = (probability(values) for values in (risk, problem.champion.risk(problem.judging)))
    change = compare_auc(bad, champion, prob, level=2 * level - 1).difference
    least = change.value if change.low is None else change.low
    return {
        "loss": 1 - float(auc(bad, prob).value or 0.0),
        "loss_change": -float(change.value or 0.0),
        "loss_change_high": -float(least or 0.0),
        "disparity": problem.disparity(model),
    }


def probability(risk: Floats) -> Floats:
    """Return 1 / (1 + exp(-risk)), for what ranks by probabilities."""
    return np.asarray(1 / (1 + np.exp(-risk)))


def _row(number: int, candidate: Candidate, result: Mapping[str, float]) -> dict[str, Any]:
    method = METHODS[candidate.method]
    return {
        "candidate": number,
        "method": candidate.method if number else CHAMPION,
        "needs_attribute_in_training": method.needs_attribute_in_training,
        "needs_attribute_at_decision": method.needs_attribute_at_decision,
        "params": candidate.words,
        **{
            f"search_{name}": result[name]
            for name in ("loss", "loss_change", "loss_change_high", "disparity")
        },
    }


def _candidate(trial: Any) -> Candidate:
    drawn = dict(trial.params)
    own = {name: drawn.pop(name) for name in ("method", "strength", "order", "left_out", "monotone")}
    return Candidate(**own, settings=drawn)


def _distributions(plan: Plan) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    tried = [name for name in METHODS if name not in plan.forbidden]
    directions = [False, True] if any(plan.monotone) else [False]
    found: dict[str, Any] = {
        "method": CategoricalDistribution(tried),
        "strength": FloatDistribution(0.0, 1.0),
        "order": CategoricalDistribution(sorted(plan.orders)),
        "left_out": IntDistribution(0, plan.most_left_out),
        "monotone": CategoricalDistribution(directions),
    }
    for name, (low, high) in plan.space.items():
        whole = name == "max_depth"
        found[name] = (
            IntDistribution(int(low), int(high)) if whole else FloatDistribution(low, high, log=low > 0)
        )
    return dict(sorted(found.items()))
