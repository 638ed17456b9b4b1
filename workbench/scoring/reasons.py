"""The reasons of a decision in arrays: the same that stage explanation gives, for one applicant or
millions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.scorer import Calibration, Floats
from workbench.scoring.forest import Singles
from workbench.scoring.reference import Attributor

Places = NDArray[np.int16]
Margins = Callable[[Singles], Floats]
NOBODY = -1
"""In the place of a reason: there is none of this rank."""


@dataclass(frozen=True)
class Rule:
    """A knock-out rule as stage explanation states it: declines, and is the reason."""

    code: str
    place: int
    at_least: float | None = None
    at_most: float | None = None
    is_missing: bool = False

    def hits(self, matrix: Floats) -> NDArray[np.bool_]:
        """Return whom the rule hits [applicants]: both ends are in, a missing value only by `is_missing`."""
        value = matrix[:, self.place]
        if self.is_missing:
            return np.isnan(value)
        hit = ~np.isnan(value)
        if self.at_least is not None:
            hit &= value >= self.at_least
        if self.at_most is not None:
            hit &= value <= self.at_most
        return hit


@dataclass(frozen=True)
class Ranked:
    """Reasons by rank [applicants, shown]: places among the codes and the features, and points lost.

    -1 where there is none; a rule's place follows those of the model's codes, and its points are NaN.
    """

    codes: Places
    features: Places
    points: Floats

    @classmethod
    def nobody(cls, applicants: int, shown: int) -> Ranked:
        """Return the reasons of applicants who need none."""
        empty = np.full((applicants, shown), NOBODY, dtype=np.int16)
        return cls(empty, empty.copy(), np.full((applicants, shown), np.nan))


@dataclass(frozen=True)
class Families:
    """The reason codes in alphabetical order, and the places of the features that each stands for."""

    codes: tuple[str, ...]
    members: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, families: Mapping[str, str], names: Sequence[str]) -> Families:
        """Return the families of the features `names`."""
        codes = tuple(sorted({families[name] for name in names}))
        return cls(
            codes,
            tuple(
                np.array([at for at, name in enumerate(names) if families[name] == code]) for code in codes
            ),
        )


def against_reference(
    attributor: Attributor,
    families: Families,
    calibration: Calibration,
    factor: float,
    matrix: Singles,
    margin: Floats,
) -> tuple[Floats, Places]:
    """Return the points that each family costs [applicants, codes], and its feature that costs most.

    points = factor x secant of the calibration x the sum of the family's SHAP values against the reference,
    as stage explanation has it by near_cutoff and all_applicants.
    """
    values = attributor.values(matrix)
    if calibration.is_line:
        values *= factor * calibration.slope
    else:
        values *= factor * calibration.secant(margin, margin - values.sum(axis=1))[:, np.newaxis]
    points = np.stack([values[:, places].sum(axis=1) for places in families.members], axis=1)
    costliest = [places[values[:, places].argmax(axis=1)] for places in families.members]
    return points, np.stack(costliest, axis=1).astype(np.int16)


def to_best(
    points_of: Margins, families: Families, best: Floats, matrix: Singles, points: Floats
) -> tuple[Floats, Places]:
    """Return the points that each family costs against its best values [features]: the method best_value.

    `points_of` gives score points of a matrix, `points` are the applicants' own. Shapes as
    `against_reference`.
    """
    lost, costliest = [], []
    for places in families.members:
        gains = [points_of(_set(matrix, best, places)) - points]
        lost.append(gains[0])
        if len(places) > 1:
            gains = [points_of(_set(matrix, best, places[at : at + 1])) - points for at in range(len(places))]
        costliest.append(places[np.argmax(gains, axis=0)])
    return np.stack(lost, axis=1), np.stack(costliest, axis=1).astype(np.int16)


def rank(points: Floats, costliest: Places, *, shown: int) -> Ranked:
    """Return the families that cost most, the costliest first; only what costs points is a reason.

    Of equals the first by name comes first, as stage explanation has it.
    """
    applicants = len(points)
    ranked = Ranked.nobody(applicants, shown)
    order = np.argsort(-points, axis=1, kind="stable")[:, :shown].astype(np.int16)
    width = order.shape[1]
    lost = np.take_along_axis(points, order, axis=1)
    real = lost > 0
    ranked.codes[:, :width] = np.where(real, order, NOBODY)
    ranked.features[:, :width] = np.where(real, np.take_along_axis(costliest, order, axis=1), NOBODY)
    ranked.points[:, :width] = np.where(real, lost, np.nan)
    return ranked


def rank_rules(hits: NDArray[np.bool_], rules: Sequence[Rule], *, first_code: int, shown: int) -> Ranked:
    """Return the rules that hit each applicant [applicants, rules] as reasons, in the order of the rules."""
    ranked = Ranked.nobody(len(hits), shown)
    rank_of = np.cumsum(hits, axis=1) - 1
    for at, rule in enumerate(rules):
        rows = np.flatnonzero(hits[:, at] & (rank_of[:, at] < shown))
        ranked.codes[rows, rank_of[rows, at]] = first_code + at
        ranked.features[rows, rank_of[rows, at]] = rule.place
    return ranked


def _set(matrix: Singles, best: Floats, places: NDArray[np.int64]) -> Singles:
    changed = matrix.copy()
    changed[:, places] = best[places]
    return changed
