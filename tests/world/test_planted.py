"""Each planted thing is in the files, as often as truth.json says."""

import re

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score
from stdnum.us import ssn

KEY, APPLICANTS = "customer_id", 5_000
TIME = {
    "electricity": "due_time",
    "water": "due_time",
    "airtime": "topup_time",
    "mobile_money": "txn_time",
    "posts": "posted_time",
}
FOUND = {
    "negative": pl.col("amount_due") < 0,
    "day_zero": pl.col("topup_time") == pl.datetime(1970, 1, 1),
    "duplicate": ~pl.struct(pl.all()).is_first_distinct(),
    "unknown_customer": pl.col(KEY) >= "C9",
    "category": pl.col("direction").is_in(["IN", "OUT"]),
    "unit": pl.col("amount_due") > 100,
    "missing": pl.col("balance").is_null(),
    "late_arrival": (pl.col("recorded_time") - pl.col("topup_time")).is_between(
        pl.duration(days=21), pl.duration(days=57)
    ),
}
IDENTIFIERS = {
    "email": r"[a-z]+\.[a-z]+\.\d+@example\.com$",
    "phone": r"\+2547\d{8}$",
    "national_id": r"\d{3}-\d\d-\d{4}$",
}


def before_application(world, source):
    people = world.applicants.select(KEY, "application_time")
    return (
        getattr(world, source).join(people, on=KEY).filter(pl.col(TIME[source]) < pl.col("application_time"))
    )


@pytest.mark.parametrize("kind", FOUND)
def test_an_error_is_there_as_often_as_told_in_its_month_alone(world, clean, kind):
    (error,) = (error for error in world.truth["errors"] if error["kind"] == kind)
    table = getattr(world, error["source"])
    found = table.filter(FOUND[kind])
    assert len(found) == error["rows"] > 0
    time = "recorded_time" if kind == "day_zero" else TIME[error["source"]]
    months = found[time].dt.strftime("%Y-%m")
    share = (months == error["month"]).mean()
    assert share > 0.9 if kind == "day_zero" else share == 1
    usual = getattr(clean, error["source"])
    of_month = usual.filter(usual[TIME[error["source"]]].dt.strftime("%Y-%m") == error["month"])
    assert error["rows"] / len(of_month) == pytest.approx(error["share_of_month"], rel=0.4)
    if kind != "late_arrival":
        assert usual.filter(FOUND[kind]).is_empty()


def test_a_clean_world_lists_late_arrivals_alone(clean):
    assert [error["kind"] for error in clean.truth["errors"]] == ["late_arrival"]
    assert set(clean.truth["identifiers_in_posts"].values()) == {0}


def test_errors_leave_the_other_rows_alone(world, clean):
    rows = world.water.filter(pl.col(KEY) < "C9")
    assert rows.drop("amount_due", "amount_paid").equals(clean.water.drop("amount_due", "amount_paid"))
    assert world.posts.drop("text").equals(clean.posts.drop("text"))
    for same in ("applicants", "bureau"):
        assert getattr(world, same).equals(getattr(clean, same))


@pytest.mark.parametrize("kind", IDENTIFIERS)
def test_posts_give_away_their_writers_identifiers(world, clean, kind):
    posts = world.posts.join(world.applicants.select(KEY, kind), on=KEY)
    given = posts.filter(pl.col("text").str.contains(IDENTIFIERS[kind]))
    assert len(given) == world.truth["identifiers_in_posts"][kind] > 0
    assert given.select(pl.col("text").str.ends_with(pl.col(kind))).to_series().all()
    assert not clean.posts["text"].str.contains(IDENTIFIERS[kind]).any()


def test_identifiers_are_unique_and_look_real(world):
    people = world.applicants
    for column in (KEY, "phone", "email", "national_id"):
        assert people[column].n_unique() == APPLICANTS
    assert people["national_id"].map_elements(ssn.is_valid, return_dtype=pl.Boolean).all()
    assert people["phone"].str.contains(r"^\+2547\d{8}$").all()
    assert people["full_name"].str.contains(r"^[A-Z][a-z]+ [A-Z][a-z]+$").all()
    numbers = world.airtime.join(people.select(KEY, "phone"), on=KEY)
    assert numbers["msisdn"].equals(numbers["phone"].alias("msisdn"))
    age = (people["application_time"].cast(pl.Date) - people["birth_date"]).dt.total_days() / 365.25
    assert age.is_between(18, 68).all()


def test_texts_are_plain_words(clean):
    texts = clean.posts["text"]
    assert texts.str.contains(r"^[a-z]+( [a-z]+){5,13}$").all()
    assert texts.str.split(" ").explode().n_unique() > 250


def test_some_events_lie_after_the_application_and_none_was_recorded_before_it_happened(clean):
    for source, time in TIME.items():
        table = getattr(clean, source)
        share = 1 - len(before_application(clean, source)) / len(table)
        assert 0.01 < share < 0.12, source
        assert (table["recorded_time"] > table[time]).all()
        assert (table["recorded_time"] - table[time]).median().total_seconds() < 2 * 86_400


def test_posts_are_there_without_consent_too(world):
    people = world.applicants
    assert people["consent_social"].sum() == world.truth["consent"]["applicants"]
    assert people["consent_social"].mean() == pytest.approx(0.35, abs=0.03)
    writers = world.posts.unique(KEY).join(people, on=KEY)["consent_social"]
    assert 0.15 < 1 - writers.mean() < 0.45


def test_the_handset_gives_the_community_away_and_is_not_in_the_formula(world):
    people, proxy = world.applicants, world.truth["proxy"]
    south = (people["community"] == "south").to_numpy()
    assert south.mean() == pytest.approx(0.3, abs=0.03)
    auc = roc_auc_score(south, -people["handset_tier"].to_numpy())
    assert proxy["auc"] == pytest.approx(auc, abs=1e-12)
    assert auc > 0.8
    counts = people.group_by("community", "handset_tier").len()
    wide = counts.pivot("handset_tier", index="community").drop("community").to_numpy()
    expected = wide.sum(axis=1, keepdims=True) * wide.sum(axis=0) / wide.sum()
    assert proxy["cramers_v"] == pytest.approx(
        np.sqrt(((wide - expected) ** 2 / expected).sum() / wide.sum())
    )
    prob = world.known["prob_default"].to_numpy()
    logit = np.log(prob / (1 - prob))
    for group in (south, ~south):
        assert abs(np.corrcoef(logit[group], people["handset_tier"].to_numpy()[group])[0, 1]) < 0.08


def test_low_incomes_are_missing_more_often(world):
    people = world.applicants.with_columns(missing=pl.col("declared_income").is_null())
    assert people["missing"].sum() == world.truth["missing_not_at_random"]["rows"]
    low, high = (
        people.filter(keep)["missing"].mean()
        for keep in (
            pl.col("requested_amount") <= pl.col("requested_amount").quantile(0.25),
            pl.col("requested_amount") >= pl.col("requested_amount").quantile(0.75),
        )
    )
    assert low > 2 * high > 0
    assert re.search("log-odds of missing = ", world.truth["missing_not_at_random"]["how"])


def test_drift_starts_in_its_month(clean):
    month = clean.applicants.select(KEY, month=pl.col("application_time").dt.strftime("%Y-%m"))
    topups = before_application(clean, "airtime").group_by(KEY).agg(topup=pl.col("amount").mean().log())
    inflow = before_application(clean, "mobile_money").filter(pl.col("direction") == "in")
    inflow = inflow.group_by(KEY).agg(income=pl.col("amount").sum().log())
    table = clean.known.join(month, on=KEY).join(topups, on=KEY, how="left").join(inflow, on=KEY, how="left")
    since, first = clean.truth["drift"]["month"], pl.col("month") == clean.truth["drift"]["month"]
    assert since == "2025-07"

    def moved(column, rows):
        """Difference to all months before the drift, in standard errors."""
        before = table.filter(pl.col("month") < since, first.not_(), pl.col("month") != "2025-06")[
            column
        ].drop_nulls()
        there = table.filter(rows)[column].drop_nulls()
        return (there.mean() - before.mean()) / (before.std() / len(there) ** 0.5)

    for column in ("topup", "income"):
        assert moved(column, first) < -4
        assert abs(moved(column, pl.col("month") == "2025-06")) < 3.5
    for column in ("electricity_late_share_365", "water_days_late_mean_365"):
        assert moved(column, first) > 3
        assert abs(moved(column, pl.col("month") == "2025-06")) < 3.5
    assert abs(moved("mobile_money_balance_mean_365", first)) < 3.5
