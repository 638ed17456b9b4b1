"""The whole sequence on alternative data whose truth is known: the planted is found, the person is not."""

import random
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from tests.pipeline import world as made
from tests.pipeline.running import call, command, hashes
from tests.privacy.scanning import find_planted
from workbench.run import Run

AUC_GAP = 0.02  # of 16,000 applicants; the bound of 0.01 at 50,000 is held by tests/pipeline/test_scale.py
MASKED = ("email", "phone", "national_id")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return made.shared_world(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return made.small_world(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made.finished_study(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def truth(world):
    return made.truth_of(world)


def table(run, name):
    return pl.read_parquet(Run.open(run).checked_path(name))


def facts(run):
    return {fact["id"]: fact for fact in Run.open(run).facts()}


# What was planted is found


ISSUES = {
    "duplicate": "duplicate",
    "unknown_customer": "unknown_applicant",
    "late_arrival": "late_arrival",
    "unit": "unit_shift",
    "missing": "missing",
}


def found_for(error, quality):
    """The rows of the quality table that a planted error should lead to."""
    mine = quality.filter(pl.col("source") == error["source"])
    issue = ISSUES.get(error["kind"], "out_of_contract")
    return mine.filter(pl.col("issue") == issue)


def test_every_planted_error_is_found_in_its_source_and_month(run, truth):
    quality = table(run, "data/quality")
    for error in truth["errors"]:
        found = found_for(error, quality)
        assert found.height, error
        months = found["worst_month"].to_list()
        assert error["month"] in months or "1970-01" in months, (error, months)


def test_no_error_is_found_where_none_was_planted(run, truth):
    planted = {(error["source"], ISSUES.get(error["kind"], "out_of_contract")) for error in truth["errors"]}
    expected = planted | {("airtime", "late_arrival")}
    quality = table(run, "data/quality").filter(
        ~pl.col("issue").is_in(["after_application", "recorded_after"])
    )
    assert set(quality.select("source", "issue").iter_rows()) <= expected


def test_the_effects_are_found_and_point_the_right_way(run, truth):
    described = table(run, "features/description").with_row_index("rank")
    importance = table(run, "explanation/importance")["feature"].to_list()
    terms = [term for term in truth["formula"]["terms"] if term["feature"] in described["feature"]]
    assert len(terms) >= 6
    for term in terms:
        row = described.row(by_predicate=pl.col("feature") == term["feature"], named=True)
        sign = 1 if term["coefficient"] > 0 else -1
        assert row["direction"] * sign > 0, term["feature"]
        assert row["expected"] in (0, sign), term["feature"]
    strongest = sorted(terms, key=lambda term: -abs(term["coefficient"]))[:2]
    assert {term["feature"] for term in strongest} <= set(importance[:4])


def test_the_champion_comes_near_the_oracle(run, world):
    scores = table(run, "training/scores").join(made.true_outcomes(world), on="applicant_id")
    holdout = scores.filter(pl.col("sample") == "holdout")
    oracle = roc_auc_score(holdout["default"], holdout["true_prob_default"])
    champion = roc_auc_score(holdout["default"], holdout["prob_default"])
    assert oracle - champion <= AUC_GAP


def test_the_proxy_is_found_first(run, truth):
    told = table(run, "fairness/proxies").filter(pl.col("attribute") == truth["proxy"]["group"])
    assert told["feature"][0] == truth["proxy"]["column"]
    assert told["low"][0] > told["high"][1]


def test_the_drift_month_is_found(run, truth):
    assert facts(run)["monitoring.drift_month"]["value"] == truth["drift"]["month"]


def test_the_sample_after_the_drift_is_out_of_time(run, truth):
    samples = table(run, "data/samples")
    late = samples.filter(pl.col("sample") == "out_of_time")["vintage"]
    assert late.min() == truth["drift"]["month"]


def test_features_equal_the_truth_where_no_error_was_planted(run, world):
    truth = pl.read_parquet(world / "truth.parquet")
    mine = made.true_outcomes(world).select("applicant_id", "customer_id")
    features = (
        table(run, "features/features")
        .join(mine, on="applicant_id")
        .join(truth, on="customer_id", suffix="_true")
    )
    late = "electricity_late_share_365"
    agreeing = features.select(((pl.col(late) - pl.col(f"{late}_true")).abs() < 1e-9).mean()).item()
    assert agreeing > 0.97  # two percent of one month's bills were planted with errors


# Nobody can be found in what a run leaves


def planted_identifiers(world, count=400):
    people = pl.read_parquet(world / "applicants" / "*.parquet").sort("customer_id")
    chosen = people.sample(count, seed=1)
    names = ["customer_id", "full_name", "phone", "email", "national_id", "address"]
    texts = [value for name in names for value in chosen[name].drop_nulls().cast(pl.String)]
    return [text for text in texts if len(text) >= 8]


def test_no_identifier_is_in_any_file_of_the_run(run, world):
    assert find_planted(run, planted_identifiers(world)) == {}


def test_the_scan_would_see_one(tmp_path, world):
    one = random.Random(1).choice(planted_identifiers(world))
    pl.DataFrame({"text": [f"call {one} today"]}).write_parquet(tmp_path / "rows.parquet")
    assert set(find_planted(tmp_path, planted_identifiers(world))) == {"rows.parquet"}


def test_posts_are_there_by_consent_only(run, world):
    people = pl.read_parquet(world / "applicants" / "*.parquet").select("customer_id", "consent_social")
    keyed = made.true_outcomes(world).join(people, on="customer_id")
    posts = pl.read_parquet(run / "data" / "rows" / "posts" / "*.parquet")
    refused = keyed.filter(~pl.col("consent_social"))["applicant_id"]
    assert posts.height > 1_000
    assert not posts["applicant_id"].is_in(refused.implode()).any()


# Point in time


def test_features_do_not_change_when_the_future_is_cut_off(run, world, tmp_path):
    """Without a single event on or after its applicant's application the features are the same."""
    past = Path(shutil.copytree(world, tmp_path / "past"))
    people = pl.scan_parquet(world / "applicants" / "*.parquet").select("customer_id", "application_time")
    times = {
        "electricity": "due_time",
        "water": "due_time",
        "airtime": "topup_time",
        "mobile_money": "txn_time",
        "posts": "posted_time",
    }
    cut = 0
    for source, time in times.items():
        for file in (past / source).glob("*.parquet"):
            rows = pl.read_parquet(file)
            kept = (
                rows.lazy()
                .join(people, on="customer_id", how="left", maintain_order="left")
                .filter((pl.col(time) < pl.col("application_time")).fill_null(True))
                .select(rows.columns)
                .collect()
            )
            cut += rows.height - kept.height
            kept.write_parquet(file)
    assert cut > 10_000
    study = made.study_of(past, tmp_path)
    for stage in ("data", "features"):
        done = made.start(study, tmp_path / "runs", "--only", stage)
        assert done.returncode == 0, done.stdout + done.stderr
    assert hashes(tmp_path / "runs" / "alternative")["features/features"] == hashes(run)["features/features"]


def test_a_future_event_is_refused_when_the_study_says_so(small, tmp_path):
    severity = {
        "duplicate": "quarantine",
        "recorded_after": "warn",
        "late_arrival": "warn",
        "out_of_contract": "quarantine",
    }
    severity |= dict.fromkeys(
        ("unknown_applicant", "volume", "missing", "unit_shift", "category_shift"), "warn"
    )
    study = made.study_of(small, tmp_path, severity=severity | {"after_application": "stop"})
    done = made.start(study, tmp_path / "runs", "--only", "data")
    assert done.returncode == 1
    assert "airtime: after_application" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs" / "alternative" / "data" / "rows").exists()


# Engines


def test_dask_gives_the_bytes_of_the_cpu_engine(run, world, tmp_path):
    study = made.study_of(world, tmp_path)
    for stage in ("data", "features"):
        done = made.start(study, tmp_path / "runs", "--only", stage, "--engine", "dask")
        assert done.returncode == 0, done.stdout + done.stderr
    ours = hashes(tmp_path / "runs" / "alternative")
    assert {name: digest for name, digest in hashes(run).items() if name in ours} == ours


# Permission and keys


@pytest.mark.parametrize(("day", "returncode"), [("2026-11-19", 0), ("2026-11-20", 1)])
def test_social_media_is_stopped_from_the_day_the_directive_applies(small, tmp_path, day, returncode):
    study = made.study_of(small, tmp_path, consented="consent_social", packs=["eu"], judged_on=day)
    done = made.start(study, tmp_path / "runs", "--only", "data")
    assert done.returncode == returncode, done.stdout + done.stderr
    assert ("posts: social_media is prohibited under eu" in done.stderr) == bool(returncode)


def test_a_dropped_source_never_reaches_the_model_and_its_cost_is_measured(small, tmp_path):
    study = made.study_of(
        small,
        tmp_path,
        consented="consent_social",
        packs=["eu"],
        judged_on="2026-11-23",
        on_prohibited="drop",
    )
    few = ("--set", "training.min_calibration_defaults=30")
    for stage in ("data", "features", "training"):
        done = made.start(study, tmp_path / "runs", "--only", stage, *few)
        assert done.returncode == 0, done.stdout + done.stderr
    made_run = tmp_path / "runs" / "alternative"
    assert not [name for name in table(made_run, "features/features").columns if name.startswith("posts_")]
    assert [name for name in table(made_run, "features/withheld").columns if name.startswith("posts_")]
    scorer = (made_run / "training" / "models" / "scorer.json").read_text(encoding="utf-8")
    assert "posts_" not in scorer
    cost = next(f for f in Run.open(made_run).facts() if f["id"] == "training.prohibition_cost")
    assert cost["low"] < cost["value"] < cost["high"]
    assert abs(cost["value"]) < 0.05


def test_a_missing_key_and_another_key_are_refused(run, world, tmp_path):
    study = made.study_of(world, tmp_path)
    without = made.start(study, tmp_path / "runs", key="")
    assert without.returncode == 1
    assert "WORKBENCH_KEY: not set" in without.stderr
    runs = tmp_path / "copy"
    shutil.copytree(run, runs / "alternative")
    other = made.start(study, runs, key="quite-another-key-of-the-tests")
    assert other.returncode == 1
    assert "not the one this run was made with" in other.stderr
    assert hashes(runs / "alternative") == hashes(run)


# Purge and forget


def keyed(*words: object) -> subprocess.CompletedProcess[str]:
    import os

    environment = os.environ | {"WORKBENCH_KEY": made.KEY}
    return subprocess.run(
        command(*words), capture_output=True, text=True, timeout=120, env=environment, check=False
    )


def test_a_forgotten_person_is_gone_and_does_not_come_back(run, world, tmp_path):
    runs = tmp_path / "runs"
    copy = Path(shutil.copytree(run, runs / "alternative"))
    mine = made.true_outcomes(world).join(table(run, "data/samples"), on="applicant_id")
    person = mine.filter(pl.col("sample") == "development").row(0, named=True)
    done = keyed("forget", copy, "--applicant", person["customer_id"])
    assert done.returncode == 0, done.stderr
    assert "champion" in done.stdout
    assert person["customer_id"] not in done.stdout
    left = [
        path
        for path in copy.rglob("*.parquet")
        if "rows" in path.parts and _holds(path, person["applicant_id"])
    ]
    assert left == []
    again = made.start(made.study_of(world, tmp_path), runs, "--only", "data")
    assert again.returncode == 0, again.stderr
    assert not _holds(copy / "data" / "rows" / "samples.parquet", person["applicant_id"])


def _holds(path, applicant):
    rows = pl.read_parquet(path)
    return "applicant_id" in rows.columns and (rows["applicant_id"] == applicant).any()


def test_a_purged_run_keeps_its_evidence_and_no_row(run, tmp_path):
    copy = Path(shutil.copytree(run, tmp_path / "alternative"))
    report = (copy / "report" / "model_risk.html").read_bytes()
    assert call(command("purge", copy)).returncode == 0
    assert not [path for path in copy.rglob("*.parquet") if "rows" in path.parts]
    assert (copy / "report" / "model_risk.html").read_bytes() == report
    verified = call(command("verify", copy))
    assert verified.returncode == 0, verified.stdout
