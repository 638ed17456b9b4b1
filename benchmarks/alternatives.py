"""The search for less discriminatory models, against Fairlearn's grid search over one constraint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measure import Work

if TYPE_CHECKING:
    import polars as pl

FITTED, JUDGED, FEATURES, CANDIDATES = 35_000, 15_000, 40, 60
ROUNDS, GRID = 200, 10
SETTINGS: dict[str, Any] = {"max_depth": 4, "learning_rate": 0.1, "subsample": 0.8, "colsample_bytree": 0.8}


def _names() -> list[str]:
    return [f"x{at}" for at in range(FEATURES)]


def _world() -> pl.DataFrame:
    import polars as pl

    generator, rows = np.random.default_rng(1), FITTED + JUDGED
    group = np.where(generator.random(rows) < 0.3, "b", "a")
    values = generator.normal(size=(rows, FEATURES))
    values[:, 1] += 1.0 * (group == "b")
    prob = 1 / (1 + np.exp(1.4 - values @ np.geomspace(0.8, 0.02, FEATURES)))
    return pl.DataFrame(dict(zip(_names(), values.T, strict=True))).with_columns(
        applicant_id=pl.Series(np.arange(rows)),
        default=pl.Series((generator.random(rows) < prob).astype(int)),
        group=pl.Series(group),
        prob_default=pl.Series(prob),
        approved=pl.Series((prob <= np.quantile(prob, 0.75)).astype(int)),
    )


def search_ours() -> Work:
    """Prepare 60 candidates over features, settings, reductions, reweighing and cutoffs, each judged."""
    from workbench.fairness.alternative_plan import Plan, prepare_search
    from workbench.fairness.alternatives import search_alternatives

    frame, names = _world(), _names()
    plan = Plan(
        names=names,
        monotone=[0] * FEATURES,
        constrained=False,
        base={"tree_method": "hist", "seed": 1, **SETTINGS},
        rounds=ROUNDS,
        space={"max_depth": [2, 6], "learning_rate": [0.04, 0.2]},
        orders={"proxy_strength": [names[1], *names[:1], *names[2:]]},
        most_left_out=8,
        attribute="group",
        reference_group="a",
        min_applicants=100,
        min_defaults=20,
    )
    problem = prepare_search(frame[:FITTED], frame[FITTED:], plan)
    return lambda: search_alternatives(problem, trials=CANDIDATES, level=0.95, seed=1).table


def search_fairlearn() -> Work:
    """Prepare a tenth of a grid over demographic parity alone, of the same trees; nothing is judged."""
    from fairlearn.reductions import DemographicParity, GridSearch
    from xgboost import XGBClassifier

    frame = _world()[:FITTED]
    matrix, group = frame.select(_names()).to_numpy(), frame["group"].to_numpy()
    good = 1 - frame["default"].to_numpy()

    def work() -> object:
        model = XGBClassifier(n_estimators=ROUNDS, tree_method="hist", seed=1, **SETTINGS)
        grid = GridSearch(model, constraints=DemographicParity(), grid_size=GRID)
        return grid.fit(matrix, good, sensitive_features=group)

    return work
