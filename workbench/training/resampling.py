"""The champion that another sample or another seed would have given: trained here, measured in validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from workbench.scorer import Floats
from workbench.statistics.bootstrap import multinomial_replicates
from workbench.statistics.samples import binary_faults, raise_faults

Kind = Literal["resample", "seed"]


@dataclass(frozen=True)
class ResampledMargins:
    """Margins [models, rows] of boosters on bootstrap resamples, then of boosters with other seeds.

    `kinds` [models]: "resample" (other rows, the champion's seed) or "seed" (the champion's rows, another
    seed). `seeds` [models]: what drew the rows, or the booster's own. `saved` [models]: each in UBJSON.
    """

    kinds: tuple[str, ...]
    seeds: tuple[int, ...]
    margins: Floats
    saved: tuple[bytes, ...]

    def of(self, kind: Kind) -> Floats:
        """Return the margins [models of the kind, rows]."""
        return self.margins[[found == kind for found in self.kinds]]

    def models(self) -> pl.DataFrame:
        """Return model (the column of `table`), kind and seed, one row per booster."""
        return pl.DataFrame({"model": self._labels(), "kind": self.kinds, "seed": self.seeds})

    def boosters(self) -> dict[str, bytes]:
        """Return every booster in UBJSON, by its column of `table`."""
        return dict(zip(self._labels(), self.saved, strict=True))

    def table(self, applicant_id: pl.Series) -> pl.DataFrame:
        """Return applicant_id and the margins resample_1 .. resample_k, seed_1 .. seed_k, one row each."""
        return pl.DataFrame(
            {"applicant_id": applicant_id, **dict(zip(self._labels(), self.margins, strict=True))}
        )

    def _labels(self) -> list[str]:
        count = len(self.kinds) // 2
        return [f"{kind}_{number % count + 1}" for number, kind in enumerate(self.kinds)]


def resampled_margins(
    features: Floats,
    default: Floats,
    judged: Floats,
    *,
    settings: Mapping[str, Any],
    rounds: int,
    resamples: int,
    seed: int,
) -> ResampledMargins:
    """Return the margins (log-odds of default) of `judged` by `resamples` boosters of each kind.

    A resample draws as many rows with replacement, as weights from one multinomial, and keeps the champion's
    seed; a reseeded booster keeps the rows. Where the settings draw neither rows nor columns, a seed changes
    nothing, and those margins are the champion's. `features`, `default`: the development sample [applicants,
    features], 0 or 1 [applicants]; `judged` [rows, features]: rows that nothing was fitted on.

    Cost: one binning of the features and 2 x `resamples` trainings of the champion. All boosters share its
    bins, so what the placing of the bins adds to the spread is not in it.

    Raises:
        DataError: fewer than 2 resamples, features that do not fit, or a resample without goods or defaults.

    Reference: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 6.
    """
    raise_faults("The champion cannot be resampled", _faults(features, default, judged, resamples))
    from xgboost import DMatrix, QuantileDMatrix, train

    seeds = [int(s) >> 1 for s in np.random.SeedSequence(seed).generate_state(2 * resamples)]
    weights = [_resampled(default, drawn) for drawn in seeds[:resamples]]
    raise_faults("The champion cannot be resampled", _class_faults(default, weights))
    matrix, rows = QuantileDMatrix(features, default), DMatrix(judged)

    def trained(weight: Floats, own: Mapping[str, Any]) -> tuple[Floats, bytes]:
        matrix.set_weight(weight)
        booster = train({**settings, **own}, matrix, num_boost_round=rounds)
        found: Floats = booster.predict(rows, output_margin=True).astype(np.float64)
        return found, bytes(booster.save_raw("ubj"))

    same = np.ones(default.size)
    models = [trained(weight, {}) for weight in weights]
    models += [trained(same, {"seed": other}) for other in seeds[resamples:]]
    margins, saved = zip(*models, strict=True)
    kinds = ("resample",) * resamples + ("seed",) * resamples
    return ResampledMargins(kinds, tuple(seeds), np.stack(margins), saved)


def _resampled(default: Floats, seed: int) -> Floats:
    counts = multinomial_replicates(np.ones(default.size), replicates=1, seed=seed)
    weight: Floats = counts[0].astype(np.float64)
    return weight


def _faults(features: Floats, default: Floats, judged: Floats, resamples: int) -> list[str]:
    faults = list(binary_faults("default", default))
    if resamples < 2:
        faults.append(f"resamples is {resamples}; a spread needs at least 2")
    if features.shape[0] != default.size:
        faults.append(f"{features.shape[0]} rows of features for {default.size} outcomes")
    if features.shape[1] != judged.shape[1]:
        faults.append(f"{features.shape[1]} features to fit on and {judged.shape[1]} to judge by")
    return faults


def _class_faults(default: Floats, weights: list[Floats]) -> list[str]:
    bads = [float(weight @ default) for weight in weights]
    empty = sum(not 0 < bad < default.size for bad in bads)
    right = "the development sample has too few"
    return [f"{empty} of {len(bads)} resamples hold no good or no default: {right}"] if empty else []
