"""Reason codes and their texts for a portfolio of declined applicants, given their SHAP values."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from benchmarks.measure import Work

DECLINED, FEATURES, SHOWN, LOOPED = 1_000_000, 60, 4, 10_000
WINDOWS = (30, 90, 365)
UNITS = ("share", "days", "days", "share", "share", "count")
MEASURES = ("late_share", "days_late_mean", "days_late_max", "late_30_share", "unpaid_share", "count")


def _catalogue() -> pl.DataFrame:
    """Return 60 features that the English texts speak of."""
    regularity, arrears = "payment regularity", "arrears depth and recency"
    families = (regularity, arrears, arrears, arrears, arrears, regularity)
    rows = [
        (f"{source}_{measure}_{days}", family, source, "utility", unit)
        for source in ("electricity", "water")
        for days in WINDOWS
        for measure, family, unit in zip(MEASURES, families, UNITS, strict=True)
    ]
    for measure, family, unit in (
        ("inflow_mean", "income inflow regularity", "minor units"),
        ("outflow_mean", "spending volatility", "minor units"),
        ("outflow_ratio", "spending volatility", "ratio"),
        ("balance_mean", "balance", "minor units"),
        ("low_balance_share", "balance", "share"),
        ("night_share", "usage rhythm", "share"),
        ("weekend_share", "usage rhythm", "share"),
    ):
        rows += [
            (f"mobile_money_{measure}_{days}", family, "mobile_money", "mobile_money", unit)
            for days in WINDOWS
        ]
    rows += [
        (f"{source}_tenure_days", "tenure", source, category, "days")
        for source, category in (
            ("electricity", "utility"),
            ("water", "utility"),
            ("mobile_money", "mobile_money"),
        )
    ]
    names = ("feature", "family", "source", "data_category", "unit")
    return pl.DataFrame(rows, schema=names, orient="row")


def _portfolio(rows: int) -> tuple[pl.DataFrame, np.ndarray, pl.DataFrame]:
    generator, catalogue = np.random.default_rng(1), _catalogue()
    drawn = {"share": 1.0, "ratio": 1.5, "days": 300.0, "count": 12.0, "minor units": 5e6}
    features = pl.DataFrame({"applicant_id": np.arange(rows)}).with_columns(
        pl.Series(name, generator.random(rows) * drawn[unit])
        for name, unit in catalogue.select("feature", "unit").iter_rows()
    )
    return catalogue, generator.normal(size=(rows, catalogue.height)), features


def reason_cases() -> Work:
    """The reasons of everyone with their texts in English."""
    from workbench.explanation.reasons import reason_codes
    from workbench.explanation.wording import fill_texts, wording
    from workbench.reason_texts import load_texts

    catalogue, values, features = _portfolio(DECLINED)
    families = dict(catalogue.select("feature", "family").iter_rows())
    words = wording(load_texts("en"), catalogue)

    def work() -> object:
        codes = reason_codes(
            values,
            features["applicant_id"],
            families=families,
            names=catalogue["feature"].to_list(),
            points_per_log_odds=20.0,
            reasons_shown=SHOWN,
        )
        return fill_texts(codes, features, words, currency="KES")

    return work


def reason_loop() -> Work:
    """The same by a plain loop: families summed, sorted and written for each applicant."""
    catalogue, values, features = _portfolio(LOOPED)
    names, families = catalogue["feature"].to_list(), catalogue["family"].to_list()
    own: dict[str, list[Any]] = {name: features[name].to_list() for name in names}

    def told(row: int) -> list[str]:
        lost: dict[str, float] = {}
        worst: dict[str, tuple[float, str]] = {}
        for name, family, value in zip(names, families, values[row], strict=True):
            lost[family] = lost.get(family, 0.0) + 20.0 * value
            worst[family] = max(worst.get(family, (-np.inf, "")), (value, name))
        ranked = sorted((-points, family) for family, points in lost.items() if points > 0)[:SHOWN]
        return [f"{worst[family][1]}: {own[worst[family][1]][row]:,.2f}" for _, family in ranked]

    return lambda: [told(row) for row in range(LOOPED)]
