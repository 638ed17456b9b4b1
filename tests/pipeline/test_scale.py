"""What has to hold at 50,000 applicants: minutes of work, so only `make scale` runs it."""

import json

import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from tests.pipeline import world as made
from tests.pipeline.running import command
from workbench.monitoring.indices import STABLE, drifted, index_table
from workbench.monitoring.stability import baseline_bins
from workbench.monitoring.two_sample import two_sample_test
from workbench.world.write import write_world

pytestmark = pytest.mark.scale


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("made") / "world", applicants=50_000, seed=1)


@pytest.fixture(scope="module")
def run(world, tmp_path_factory):
    """A run up to its scores."""
    folder = tmp_path_factory.mktemp("scale")
    study = made.study_of(world, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_KEY", made.KEY)
        for stage in ("data", "features", "training"):
            done = made.call_long(command("run", study, "--runs", folder / "runs", "--only", stage))
            assert done.returncode == 0, done.stdout + done.stderr
    return folder / "runs" / "alternative"


def test_the_champion_is_within_a_hundredth_of_the_oracle(run, world):
    scores = pl.read_parquet(run / "training" / "rows" / "scores.parquet")
    holdout = scores.join(made.true_outcomes(world), on="applicant_id").filter(pl.col("sample") == "holdout")
    oracle = roc_auc_score(holdout["default"], holdout["true_prob_default"])
    champion = roc_auc_score(holdout["default"], holdout["prob_default"])
    assert oracle - champion <= 0.01


@pytest.fixture(scope="module")
def people(run):
    """Everybody with an outcome: features, score, month and sample."""
    scores = pl.read_parquet(run / "training" / "rows" / "scores.parquet").select("applicant_id", "score")
    samples = pl.read_parquet(run / "data" / "rows" / "samples.parquet").select(
        "applicant_id", "sample", "vintage"
    )
    frame = pl.read_parquet(run / "features" / "rows" / "features.parquet")
    return (
        frame.join(scores, on="applicant_id")
        .join(samples, on="applicant_id")
        .filter(pl.col("sample") != "declined")
    )


def alarms(baseline, batch, names, seed):
    """Whether the score, any feature, or all together differ by more than chance."""
    options = {"false_alarms": 0.02, "lines": (0.1, 0.25), "replicates": 200, "seed": seed}
    indices = index_table(baseline_bins(baseline, names, bands=10), batch, **options)
    together = two_sample_test(baseline, batch, names[1:], level=0.95, seed=seed)
    score = indices.filter(name="score")["state"].item() != STABLE
    return score, drifted(indices, together.p_value, false_alarms=0.02)


def test_the_drift_month_is_found_within_one_batch_and_stable_batches_rarely_alarm(people, world):
    """Stable: 200 times the applicants before the drift, split at random into a baseline and a batch.

    Month by month the planted errors of single sources do alarm, as they should; the score does not.
    """
    first = json.loads((world / "truth.json").read_text())["drift"]["month"]
    names = [
        "score",
        *(name for name in people.columns if name not in ("applicant_id", "score", "sample", "vintage")),
    ]
    before, development = people.filter(pl.col("vintage") < first), people.filter(sample="development")
    shifted = {}
    for vintage in sorted(people["vintage"].unique()):
        month = people.filter(pl.col("vintage") == vintage, pl.col("sample") != "development")
        shifted[vintage] = alarms(development, month, names, 1)[0]
    assert next(vintage for vintage, is_shifted in shifted.items() if is_shifted) == first
    assert all(is_shifted == (vintage >= first) for vintage, is_shifted in shifted.items())
    false = 0
    for seed in range(200):
        mixed = before.sample(fraction=1, shuffle=True, seed=seed)
        false += alarms(mixed.slice(1500, 15_000), mixed.head(1500), names, seed)[1]
    print(f"false alarms: {false} of 200")
    assert false <= 10
