"""What whole runs say of groups that cannot be judged, and of memberships that are estimated."""

import polars as pl
import pytest

from tests.pipeline import world as made
from tests.pipeline.running import call, copied, refused, shared_run, smoke, stage_states
from workbench.params import ROOT
from workbench.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return shared_run(tmp_path_factory)


@pytest.fixture
def copy(run, tmp_path):
    return copied(run, tmp_path)


@pytest.fixture(scope="module")
def alternative(tmp_path_factory):
    return made.finished_study(tmp_path_factory.getbasetemp())


def table(run, name):
    return pl.read_parquet(Run.open(run).checked_path(name))


def test_attributes_with_one_value_or_mostly_missing_are_refused_together(copy, tmp_path):
    source = pl.read_parquet(ROOT / "data" / "taiwan_credit.parquet")
    unknown = pl.when(pl.col("ID") % 3 == 0).then("MARRIAGE")
    source.with_columns(SEX=pl.lit(2).cast(source["SEX"].dtype), MARRIAGE=unknown).write_parquet(
        tmp_path / "poor.parquet"
    )
    words = smoke(copy.parent, "--set", f"data.sources.applicants.path={tmp_path / 'poor.parquet'}")
    assert call([*words, "--only", "data"]).returncode == 0
    done = call([*words, "--only", "fairness"])
    refused(
        done,
        "Stage fairness stopped at cell",
        "The groups cannot be formed",
        "sex: 1 value; at least 2 groups are needed to compare",
        "marital_status: missing in",
    )
    assert stage_states(copy)["fairness"] != "complete"


def test_a_cutoff_that_approves_nobody_is_refused_before_anything_is_judged(copy):
    done = call(smoke(copy.parent, "--set", "training.cutoff=2000"))
    refused(done, "Stage training stopped at cell", "someone is approved and someone declined")
    assert stage_states(copy)["fairness"] == "complete"  # of the earlier cutoff, as its folder was left


def test_a_crossing_without_defaults_is_shown_with_its_count_and_never_judged(run):
    counts = table(run, "fairness/counts").with_columns(
        bads=pl.col("bads_approved") + pl.col("bads_declined")
    )
    without = counts.filter(pl.col("attribute").str.contains(" x "), bads=0)
    assert without.height
    metrics = table(run, "fairness/metrics").join(without, on=["attribute", "group"], how="semi")
    assert not metrics["judged"].any()
    undefined = metrics.filter(metric="false_positive_rate")
    assert undefined.height == without.height
    assert undefined["value"].is_null().all()
    assert (undefined["note"] != "").all()
    assert (undefined["applicants"] > 0).all()


def test_probabilities_that_do_not_add_up_stop_the_study_where_they_are_read(tmp_path_factory, tmp_path):
    world = made.small_world(tmp_path_factory.getbasetemp())
    twice = {"community_estimated": {"north": "north_probability", "south": "north_probability"}}
    done = made.start(made.study_of(world, tmp_path, memberships=twice), tmp_path / "runs", "--only", "data")
    refused(
        done,
        "Stage data stopped at cell",
        "data.memberships: probabilities that cannot be used",
        "community_estimated: the groups do not add up to 1 within 1e-06",
    )


def test_estimated_groups_are_judged_beside_the_true_ones(alternative):
    """The world knows both: what the probabilities give agrees with what the labels give."""
    names = ("selection_rate", "selection_rate_difference", "true_positive_rate_difference")
    for metric in names:
        south = (pl.col("group") == "south") & (pl.col("metric") == metric)
        true = table(alternative, "fairness/metrics").filter(south, attribute="community").row(0, named=True)
        told = table(alternative, "fairness/estimated").filter(south, attribute="community_estimated")
        estimated = told.row(0, named=True)
        assert estimated["judged"], metric
        assert estimated["low"] <= true["value"] <= estimated["high"], metric
        assert estimated["applicants"] == pytest.approx(true["applicants"], rel=0.2)
        assert (estimated["value"], estimated["high"]) != (true["value"], true["high"])
    crossed = table(alternative, "fairness/estimated")["attribute"].unique()
    assert "sex x community_estimated" in crossed
    report = (alternative / "report" / "fair_lending.html").read_text(encoding="utf-8")
    assert "community estimated" in report


def test_memberships_are_read_by_stage_fairness_alone(alternative):
    entry = Run.open(alternative).manifest["artifacts"]["data/memberships"]
    assert entry["readers"] == ["fairness"]
    scorer = (alternative / "training" / "models" / "scorer.json").read_text(encoding="utf-8")
    assert "_probability" not in scorer
