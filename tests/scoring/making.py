"""A small champion on made-up applicants, frozen by every method of reasons."""

from functools import cache

import numpy as np
import polars as pl
import xgboost

from workbench.explanation.recipe import reason_recipe
from workbench.scorer import Calibration, Scorer, ScoreScale
from workbench.scoring.freeze import freeze

NAMES = ("late", "ratio", "limit", "topups", "gaps", "tier")
FAMILIES = {"late": "late payments", "ratio": "late payments", "limit": "limit", "topups": "airtime"}
FAMILIES |= {"gaps": "airtime", "tier": "device"}
SOURCES = {"late": "bills", "ratio": "bills", "limit": "applicants", "topups": "airtime", "gaps": "airtime"}
SOURCES |= {"tier": "applicants"}
UNITS = {
    "late": "payments",
    "ratio": "share",
    "limit": "KES",
    "topups": "KES",
    "gaps": "days",
    "tier": "tier",
}
LIMIT = {"minimum": 1.0, "maximum": 1e6, "missing": False}
CALIBRATIONS = {
    "none": Calibration(),
    "platt": Calibration(intercept=0.2, slope=0.9),
    "beta": Calibration(intercept=0.1, slope=0.8, slope_risky=1.1),
    "isotonic": Calibration(knots=((-3.0, -2.5), (-1.0, -1.2), (0.5, 0.4), (2.0, 2.2))),
}


@cache
def applicants(count=3000, seed=1):
    generator = np.random.default_rng(seed)
    late = generator.poisson(1.0, count).astype(float)
    columns = {
        "late": late,
        "ratio": generator.beta(5, 2, count).round(2),
        "limit": generator.lognormal(9, 1, count).round(0) + 1,
        "topups": generator.gamma(2, 300, count).round(0),
        "gaps": generator.integers(0, 40, count).astype(float),
        "tier": generator.integers(1, 5, count).astype(float),
    }
    absent = generator.random(count) < 0.2
    for name in ("topups", "gaps"):
        columns[name][absent] = np.nan
    log_odds = -1.5 + 0.9 * late - 2 * columns["ratio"] + 0.02 * np.nan_to_num(columns["gaps"]) + absent
    frame = pl.DataFrame(columns).fill_nan(None)
    default = generator.random(count) < 1 / (1 + np.exp(-log_odds))
    ids = pl.Series("applicant_id", np.arange(1, count + 1))
    return frame.insert_column(0, ids).with_columns(default=pl.Series(default.astype(int)))


@cache
def booster(depth=3, trees=40):
    frame = applicants()
    matrix = frame.select(pl.col(NAMES).cast(pl.Float32).fill_null(np.nan)).to_numpy()
    settings = {"max_depth": depth, "objective": "binary:logistic", "eta": 0.2, "seed": 1, "nthread": 1}
    return xgboost.train(settings | {"base_score": 0.3}, xgboost.DMatrix(matrix, frame["default"]), trees)


def scorer(calibration="platt", depth=3):
    scale = ScoreScale(600, 50, 20)
    return Scorer(NAMES, booster(depth), CALIBRATIONS[calibration], scale, cutoff=525.0)


def catalogue():
    rows = [
        {"feature": name, "family": FAMILIES[name], "unit": UNITS[name], "source": SOURCES[name]}
        for name in NAMES
    ]
    return pl.DataFrame(rows)


def near(champion):
    """Those approved and near the cutoff."""
    scored = champion.score(applicants())
    rows = scored.filter(pl.col("score").is_between(champion.cutoff, champion.cutoff + 20))
    return applicants().join(rows.select("applicant_id"), on="applicant_id", how="semi").head(60)


def frozen(
    calibration="platt", method="near_cutoff", *, rules=(), out_of_contract="refuse", offer=0.0, depth=3
):
    champion = scorer(calibration, depth)
    approved = applicants().filter(champion.score(applicants())["approved"] == 1)
    codes = pl.DataFrame({"reason_code": sorted(set(FAMILIES.values()))})
    recipe = reason_recipe(
        champion,
        method,
        approved=approved,
        size=200,
        seed=1,
        rules=rules,
        reasons_shown=3,
        counter_offer_points=offer,
        codes=codes.with_columns(reason=pl.col("reason_code").str.to_uppercase()),
    )
    return freeze(
        champion,
        applicants(),
        catalogue(),
        sources=[{"contract": {"limit": LIMIT}}],
        recipe=recipe,
        compared_with=near(champion),
        band={"good_up_to": 0.4, "bad_from": 0.3},
        out_of_contract=out_of_contract,
        evidence={"study": "made up"},
    )


def matrix_of(frame):
    return frame.select(pl.col(NAMES).cast(pl.Float64).fill_null(np.nan)).to_numpy()
