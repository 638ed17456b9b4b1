"""What has to hold at 50,000 applicants: minutes of work, so only `make scale` runs it."""

import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from tests.pipeline import world as made
from tests.pipeline.running import command
from workbench.world.write import write_world

pytestmark = pytest.mark.scale


def test_the_champion_is_within_a_hundredth_of_the_oracle(tmp_path, monkeypatch):
    world = write_world(tmp_path / "world", applicants=50_000, seed=1)
    study = made.study_of(world, tmp_path)
    monkeypatch.setenv("WORKBENCH_KEY", made.KEY)
    for stage in ("data", "features", "training"):
        done = made.call_long(command("run", study, "--runs", tmp_path / "runs", "--only", stage))
        assert done.returncode == 0, done.stdout + done.stderr
    scores = pl.read_parquet(tmp_path / "runs" / "alternative" / "training" / "rows" / "scores.parquet")
    holdout = scores.join(made.true_outcomes(world), on="applicant_id").filter(pl.col("sample") == "holdout")
    oracle = roc_auc_score(holdout["default"], holdout["true_prob_default"])
    champion = roc_auc_score(holdout["default"], holdout["prob_default"])
    assert oracle - champion <= 0.01
