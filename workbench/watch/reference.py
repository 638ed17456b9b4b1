"""What a batch is held against: the run that made the model, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from workbench.params import Study
from workbench.privacy.encryption import Cipher, open_cipher
from workbench.run import Run, parts_of
from workbench.scoring.frozen import FrozenScorer
from workbench.serving.opening import OpenedBundle, open_bundle


@dataclass(frozen=True)
class Reference:
    """The baseline of a run: bins, development sample, known outcomes, group counts, reasons, plan and
    scorer."""

    run: Run
    study: Study
    bundle: OpenedBundle
    bins: pl.DataFrame
    development: pl.DataFrame
    outcomes: pl.DataFrame
    groups: pl.DataFrame
    first_reasons: Mapping[str, int]
    plan: pl.DataFrame
    facts: Mapping[str, Mapping[str, Any]]
    cipher: Cipher

    @property
    def frozen(self) -> FrozenScorer:
        """The scorer that the run froze."""
        return self.bundle.frozen

    @property
    def watched(self) -> list[str]:
        """The features of the baseline."""
        return [name for name in self.bins["name"].unique(maintain_order=True) if name != "score"]


def open_reference(run: Run) -> Reference:
    """Read what batches are held against; raises RunError where the run is not complete or was edited."""
    study, cipher = run.study, open_cipher(run.manifest.get("encryption_key", ""))

    def rows(artifact: str) -> pl.DataFrame:
        return pl.read_parquet(parts_of(run.checked_path(artifact)), glob=False, **cipher.reading)

    def table(artifact: str) -> pl.DataFrame:
        return pl.read_parquet(run.checked_path(artifact))

    bins = table("monitoring/baseline")
    scores = rows("training/scores")
    development = rows("features/features").join(
        scores.filter(sample="development").select("applicant_id", "score"), on="applicant_id"
    )
    declined = int(next(fact["value"] for fact in run.facts() if fact["id"] == "explanation.declined"))
    reasons = table("explanation/reasons_table")
    first = {
        row["reason_code"]: round((row["as_first"] or 0.0) * declined)
        for row in reasons.iter_rows(named=True)
    }
    return Reference(
        run=run,
        study=study,
        bundle=open_bundle(run.folder),
        bins=bins,
        development=development,
        outcomes=scores.filter(sample="holdout").select("prob_default", "default", "score"),
        groups=table("fairness/counts"),
        first_reasons=first,
        plan=table("monitoring/triggers"),
        facts={fact["id"]: fact for fact in run.facts()},
        cipher=cipher,
    )
