"""All features of alternative data, from Parquet parts to one row per applicant, on two engines."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.measure import Work

APPLICANTS, PARTS = 100_000, 4
EVENTS = {"electricity": 12, "water": 12, "airtime": 40, "mobile_money": 44, "posts": 2}  # per applicant
KINDS = {
    "electricity": "bills",
    "water": "bills",
    "airtime": "topups",
    "mobile_money": "transactions",
    "posts": "posts",
}


def _columns(kind: str, draw: Any, rows: int) -> dict[str, Any]:
    amount = draw.integers(50, 100_000, rows)
    if kind == "bills":
        paid_age = pl.Series(draw.integers(-60, 400, rows))
        paid_age = paid_age.set(paid_age < 0, None)
        return {"paid_age": paid_age, "amount_due": amount, "amount_paid": draw.permutation(amount)}
    if kind == "posts":
        words = np.array([f"word{number}" for number in range(2_000)])
        return {
            "text": [" ".join(post) for post in words[(draw.random((rows, 12)) ** 3 * 2_000).astype(int)]]
        }
    if kind == "topups":
        return {"amount": amount}
    direction = np.where(draw.random(rows) < 0.4, "in", "out")
    return {"amount": amount, "direction": direction, "balance": draw.permutation(amount)}


def _write(folder: Path) -> None:
    draw = np.random.default_rng(1)
    for part in range(PARTS):
        ids = np.sort(draw.integers(0, 2**62, APPLICANTS // PARTS))
        tables: dict[str, dict[str, Any]] = {"applicants": {"applicant_id": ids}}
        for source, each in EVENTS.items():
            applicant_id = np.repeat(ids, each)
            rows = applicant_id.size
            times = {"age_days": (0, 365), "hour": (0, 24), "weekday": (1, 8)}
            drawn = {name: draw.integers(*bounds, rows) for name, bounds in times.items()}
            tables[source] = {"applicant_id": applicant_id} | drawn | _columns(KINDS[source], draw, rows)
        for name, columns in tables.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            pl.DataFrame(columns).write_parquet(folder / name / f"part-{part:04d}.parquet")


def _prepared(engine: str) -> Work:
    import narwhals as nw
    import pandas as pd

    from workbench.features.build import build_features, catalogue_of
    from workbench.features.catalogue import SourceView

    kept = tempfile.TemporaryDirectory()
    folder = Path(kept.name)
    _write(folder)
    views = [SourceView(name, kind, "utility", columns=("balance",)) for name, kind in KINDS.items()]
    features = catalogue_of(views, windows=[30, 90, 365], observation_days=365, topics=4)
    terms = pl.DataFrame({"term": [f"word{number}" for number in range(500)]})
    terms = terms.with_columns(**{f"topic_{k}": pl.int_range(500) * k for k in range(1, 5)})

    def work() -> object:
        scan = pl.scan_parquet if engine == "polars" else pd.read_parquet
        tables = {name: nw.from_native(scan(folder / name)).lazy() for name in ("applicants", *KINDS)}
        loadings = nw.from_native(terms.lazy() if engine == "polars" else terms.to_pandas()).lazy()
        built = build_features(tables, features, loadings=loadings)
        return kept, built.collect(**({"engine": "streaming"} if engine == "polars" else {}))

    return work


def features_polars() -> Work:
    return _prepared("polars")


def features_pandas() -> Work:
    return _prepared("pandas")
