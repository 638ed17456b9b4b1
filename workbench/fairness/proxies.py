"""Which features stand in for a protected attribute: how well each alone tells a group from all others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from workbench.statistics.ranking import auc

LEAST_MEMBERS = 20


def proxy_table(
    frame: pl.DataFrame, attributes: Sequence[str], names: Sequence[str], *, level: float
) -> pl.DataFrame:
    """Return attribute, feature, group, strength, low, high, direction, applicants; the strongest first.

    Strength is the AUC of the feature for membership of `group`, turned so that it is at least 0.5: 0.5 =
    says nothing about the group, 1 = gives it away. `direction` +1: higher values in the group. Of an
    attribute's groups the one that the feature tells best is shown; a missing value ranks below all others,
    since missing can tell as well. DeLong's interval at `level`, each feature on its own. Applicants whose
    group is not known are left out of their attribute; groups of fewer than 20 applicants, or with fewer than
    20 others, are as well.
    """
    rows = []
    ranks = {name: _rank(frame[name]) for name in names}
    for attribute in attributes:
        known = frame[attribute].is_not_null().to_numpy()
        labels = frame[attribute].drop_nulls()
        members = {group: (labels == group).to_numpy() for group in labels.unique().sort()}
        judged = {g: m for g, m in members.items() if LEAST_MEMBERS <= m.sum() <= m.size - LEAST_MEMBERS}
        for name in names if judged else ():
            values = ranks[name][known]
            areas = {group: _area(member, values) for group, member in judged.items()}
            group = max(areas, key=lambda g: abs(areas[g] - 0.5))
            rows.append(_row(attribute, name, group, judged[group], values, level))
    schema = {"attribute": pl.String, "feature": pl.String, "group": pl.String, "strength": pl.Float64}
    schema |= {"low": pl.Float64, "high": pl.Float64, "direction": pl.Int64, "applicants": pl.Int64}
    return pl.DataFrame(rows, schema=schema).sort(
        "strength", "attribute", "feature", descending=[True, False, False]
    )


def _rank(values: pl.Series) -> np.ndarray:
    """Return ranks in (0, 1), ties alike and missing values lowest."""
    ranks = values.cast(pl.Float64).fill_nan(None).rank("average").fill_null(0.0)
    return np.asarray(ranks.to_numpy() / (values.len() + 1))


def _area(member: np.ndarray, ranks: np.ndarray) -> float:
    """Return the AUC by Mann and Whitney, from average ranks."""
    order = pl.Series(ranks).rank("average").to_numpy()
    inside = member.sum()
    return float((order[member].sum() - inside * (inside + 1) / 2) / (inside * (member.size - inside)))


def _row(
    attribute: str, name: str, group: str, member: np.ndarray, ranks: np.ndarray, level: float
) -> dict[str, object]:
    direction = 1 if _area(member, ranks) >= 0.5 else -1
    area = auc(member.astype(int), ranks if direction > 0 else 1 - ranks, level=level)
    return {
        "attribute": attribute,
        "feature": name,
        "group": group,
        "strength": area.value,
        "low": area.low,
        "high": area.high,
        "direction": direction,
        "applicants": int(member.sum()),
    }
