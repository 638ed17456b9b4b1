"""The scorer in use: one applicant, many, and a batch that is monitored."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.measure import Work

FEATURES, TREES, DEPTH = 29, 300, 4
SINGLES, MANY, REASONED, EXPLAINED = 2_000, 300_000, 100_000, 500
BATCH_ROWS, WATCHED, EVIDENTLY_ROWS = 1_000_000, 60, 200_000
EVIDENTLY = "evidently==0.7.23"
NAMES = [f"f{number}" for number in range(FEATURES)]


def table(rows: int, seed: int) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(rows, FEATURES)).round(2)
    values[generator.random(values.shape) < 0.05] = np.nan
    frame = pl.DataFrame(dict(zip(NAMES, values.T, strict=True))).fill_nan(None)
    return frame.insert_column(0, pl.Series("applicant_id", np.arange(rows)))


@cache
def frozen() -> Any:
    import xgboost

    from workbench.scorer import Calibration, Scorer, ScoreScale
    from workbench.scoring.freeze import freeze

    frame = table(20_000, 1)
    matrix = frame.select(NAMES).fill_null(np.nan).to_numpy()
    log_odds = np.nan_to_num(matrix[:, :6]).sum(axis=1) - 1.5
    default = np.random.default_rng(2).random(20_000) < 1 / (1 + np.exp(-log_odds))
    settings = {"objective": "binary:logistic", "max_depth": DEPTH, "eta": 0.1}
    booster = xgboost.train(settings, xgboost.DMatrix(matrix, default), TREES)
    scorer = Scorer(tuple(NAMES), booster, Calibration(0.1, 0.95), ScoreScale(600, 50, 20), 540.0)
    known = {"unit": "", "source": "x"}
    rows = [{"feature": name, "family": f"family {at % 10}", **known} for at, name in enumerate(NAMES)]
    recipe = {
        "method": "near_cutoff",
        "reasons_shown": 4,
        "counter_offer_points": 0.0,
        "rules": [],
        "best": None,
    }
    return freeze(
        scorer,
        frame,
        pl.DataFrame(rows),
        sources=[{"contract": {}}],
        recipe=recipe | {"best": None, "texts": {}},
        compared_with=frame.head(100),
        band={"good_up_to": 0.2, "bad_from": 0.3},
        out_of_contract="refuse",
        evidence={},
    )


def matrix_of(frame: pl.DataFrame) -> np.ndarray:
    return frame.select(pl.col(NAMES).fill_null(np.nan)).to_numpy()


def one_pd() -> Work:
    scorer, rows = frozen().on("onnx"), matrix_of(table(SINGLES, 3))
    return lambda: [scorer.prob_default(rows[at : at + 1]) for at in range(SINGLES)]


def one_pd_xgboost() -> Work:
    booster, rows = frozen().scorer.booster, matrix_of(table(SINGLES, 3)).astype(np.float32)
    return lambda: [booster.inplace_predict(rows[at : at + 1]) for at in range(SINGLES)]


def one_decision() -> Work:
    scorer, rows = frozen().on("onnx"), matrix_of(table(SINGLES, 3))
    return lambda: [scorer.decide(rows[at : at + 1]) for at in range(SINGLES)]


def one_decision_shap() -> Work:
    import shap

    scorer, rows = frozen().scorer, matrix_of(table(EXPLAINED, 3))
    background = matrix_of(table(20_000, 1))[:100]
    explainer = shap.TreeExplainer(scorer.booster, background, feature_perturbation="interventional")
    return lambda: [explainer.shap_values(rows[at : at + 1]) for at in range(EXPLAINED // 10)]


def many_scores() -> Work:
    from workbench.scoring.tables import decision_table

    scorer, frame = frozen(), table(MANY, 4)
    return lambda: decision_table(scorer, frame, reasons=False, threads=os.cpu_count() or 1)


def many_scores_pandas() -> Work:
    import xgboost

    booster, frame = frozen().scorer.booster, table(MANY, 4).to_pandas()
    return lambda: booster.predict(xgboost.DMatrix(frame[NAMES]))


def many_reasons() -> Work:
    from workbench.scoring.tables import decision_table

    scorer, frame = frozen(), table(REASONED, 4)
    return lambda: decision_table(scorer, frame, threads=os.cpu_count() or 1)


def many_reasons_shap() -> Work:
    import shap

    scorer, rows = frozen().scorer, matrix_of(table(EXPLAINED, 4))
    background = matrix_of(table(20_000, 1))[:100]
    explainer = shap.TreeExplainer(scorer.booster, background, feature_perturbation="interventional")
    return lambda: explainer.shap_values(rows)


def _watched(rows: int, seed: int) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    columns = {"score": generator.normal(600, 40, rows)}
    for number in range(WATCHED - 1):
        lumpy = number % 4 == 0
        values = generator.poisson(2, rows).astype(float) if lumpy else generator.lognormal(size=rows)
        columns[f"w{number}"] = values
    return pl.DataFrame(columns)


def monitored() -> Work:
    from workbench.monitoring.indices import index_table
    from workbench.monitoring.stability import baseline_bins
    from workbench.monitoring.two_sample import two_sample_test

    baseline, batch = _watched(BATCH_ROWS, 5), _watched(BATCH_ROWS, 6)
    names = baseline.columns
    options = {"false_alarms": 0.02, "lines": (0.1, 0.25), "replicates": 1_000, "seed": 1}

    def work() -> object:
        bins = baseline_bins(baseline, names, bands=10)
        together = two_sample_test(baseline, batch, names[1:], level=0.95, seed=1)
        return index_table(bins, batch, **options), together

    return work


_EVIDENTLY = """
import sys, time, pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
before, now = (pd.read_parquet(path) for path in sys.argv[1:3])
begun = time.perf_counter()
Report([DataDriftPreset()]).run(now, before)
print(time.perf_counter() - begun)
"""


def monitored_evidently() -> Work:
    """Evidently has an environment of its own, made by uv: what is timed is its report alone."""
    folder = Path(tempfile.mkdtemp())
    paths = [folder / "before.parquet", folder / "now.parquet"]
    for path, seed in zip(paths, (5, 6), strict=True):
        _watched(EVIDENTLY_ROWS, seed).write_parquet(path)
    uv = Path(sys.executable).parent / "uv"
    words = [str(uv), "run", "--quiet", "--no-project", "--with", EVIDENTLY, "--with", "pyarrow"]

    def work() -> float:
        done = subprocess.run(
            [*words, "python", "-W", "ignore", "-c", _EVIDENTLY, *map(str, paths)],
            capture_output=True,
            text=True,
            check=True,
        )
        return float(done.stdout.split()[-1])

    return work
