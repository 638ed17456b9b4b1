"""Whether every way to score gives what training and explanation gave."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from workbench.scoring.contract import FLAGS, Contract
from workbench.scoring.engines import EngineName, largest_gap
from workbench.scoring.frozen import FrozenScorer
from workbench.scoring.tables import ID, feature_matrix

PATHS: dict[EngineName, str] = {
    "xgboost": "many at once, XGBoost",
    "onnx": "many at once, ONNX Runtime",
    "cuda": "many at once, XGBoost on a GPU",
}
SINGLE = "one at a time, ONNX Runtime"


def path_table(
    frozen: FrozenScorer,
    table: pl.DataFrame,
    trained: pl.Series,
    *,
    engines: Sequence[EngineName],
    singles: int,
) -> pl.DataFrame:
    """Return path, applicants and largest_gap: the largest difference in PD from `trained` by each way.

    `engines` score everybody at once, ONNX Runtime the first `singles` one by one as well. 0: no difference.
    """
    matrix, right = feature_matrix(frozen, table), trained.to_numpy()
    rows = [
        (PATHS[name], len(matrix), largest_gap(frozen.on(name).prob_default(matrix), right))
        for name in engines
    ]
    alone, few = frozen.on("onnx"), min(singles, len(matrix))
    found = np.array([alone.prob_default(matrix[at : at + 1])[0] for at in range(few)])
    rows.append((SINGLE, few, largest_gap(found, right[:few])))
    columns = {"path": pl.String, "applicants": pl.Int64, "largest_gap": pl.Float64}
    return pl.DataFrame(rows, schema=columns, orient="row")


def reason_rows(decided: pl.DataFrame) -> pl.DataFrame:
    """Return the reasons of a table of decisions as rows: applicant_id, rank, reason_code, feature,
    points_lost."""
    ranks = sum(name.startswith("reason_") for name in decided.columns)
    parts = [
        decided.select(
            ID,
            rank=pl.lit(rank, pl.Int64),
            reason_code=pl.col(f"reason_{rank}"),
            feature=pl.col(f"feature_{rank}"),
            points_lost=pl.col(f"points_{rank}"),
        )
        for rank in range(1, ranks + 1)
    ]
    return pl.concat(parts).drop_nulls("reason_code").sort(ID, "rank")


def reason_gaps(decided: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Return applicants, differing and largest_gap: the reasons of decisions against those that were `told`.

    `told` has applicant_id, rank, reason_code, feature and points_lost of some applicants. `differing` are
    those of them with another reason, order or feature; `largest_gap` is in score points.
    """
    people = told.select(ID).unique()
    mine = reason_rows(decided.join(people, on=ID, how="semi"))
    both = mine.join(told, on=[ID, "rank"], how="full", coalesce=True)
    pairs = (("reason_code", "reason_code_right"), ("feature", "feature_right"))
    same = pl.all_horizontal(pl.col(one).eq_missing(pl.col(other)) for one, other in pairs)
    gap = (pl.col("points_lost") - pl.col("points_lost_right")).abs().max().fill_null(0.0)
    differing = both.filter(~same)[ID].n_unique()
    gaps = both.select(applicants=pl.lit(people.height), differing=pl.lit(differing), largest_gap=gap)
    return gaps.cast({"applicants": pl.Int64, "differing": pl.Int64})


def contract_table(contract: Contract) -> pl.DataFrame:
    """Return feature, unit, minimum, maximum, may_be_missing, lowest, highest and levels: what may come in.

    `minimum`, `maximum` and `may_be_missing` are the study's contract, `lowest` and `highest` the rounded
    ends of the development sample, beyond which a value is flagged; `levels` how many values it may be one
    of.
    """
    fields = contract.fields
    return pl.DataFrame(
        {
            "feature": [field.name for field in fields],
            "unit": [field.unit for field in fields],
            "minimum": [field.minimum for field in fields],
            "maximum": [field.maximum for field in fields],
            "may_be_missing": ["yes" if field.may_be_missing else "no" for field in fields],
            "lowest": [field.low for field in fields],
            "highest": [field.high for field in fields],
            "levels": [len(field.levels) or None for field in fields],
        },
        schema_overrides={"minimum": pl.Float64, "maximum": pl.Float64, "levels": pl.Int64},
    )


def flag_table(decided: pl.DataFrame) -> pl.DataFrame:
    """Return flag, applicants and share: how many applicants have each flag, and how many a person
    reviews."""
    held = pl.col("flags").str.split(" ").list
    counts = [decided.filter(held.contains(name)).height for name in FLAGS]
    names = [*FLAGS, "for review", "refused"]
    counts += [
        decided.filter(pl.col("review")).height,
        decided.filter(pl.col("decision") == "refused").height,
    ]
    table = pl.DataFrame({"flag": names, "applicants": counts})
    return table.with_columns(share=pl.col("applicants") / max(decided.height, 1))
