"""The truth, worked out again from the files with Polars."""

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

KEY = "customer_id"
TRANSFORM = {
    "identity": lambda x: x,
    "log": lambda x: pl.max_horizontal(x, 1.0).log(),
    "log1p": lambda x: (x + 1).log(),
}


def whole_days(time):
    return ((pl.col("application_time") - pl.col(time)).dt.total_seconds() / 86_400).floor().cast(pl.Int64)


def known(world, events, time):
    """Events before the application, recorded before it, at most 365 days old, with their age in days."""
    applied = pl.col("application_time")
    joined = events.join(world.applicants.select(KEY, "application_time", "consent_social"), on=KEY)
    rows = joined.filter(pl.col(time) < applied, pl.col("recorded_time") < applied)
    return rows.with_columns(age=whole_days(time)).filter(pl.col("age") < 365)


def bills(world, source):
    paid = pl.when(pl.col("paid_time") < pl.col("application_time")).then(whole_days("paid_time"))
    late = pl.col("age") - paid.fill_null(0)
    return known(world, getattr(world, source), "due_time").with_columns(late=late)


def behaviour(world):
    """The features of the formula by the words of truth.json."""
    money = known(world, world.mobile_money, "txn_time")
    inflow = money.filter(pl.col("direction") == "in", pl.col("age") < 360)
    periods = inflow.group_by(KEY, pl.col("age") // 30).agg(pl.col("amount").sum())
    squares, total = (pl.col("amount") ** 2).sum() / 12, pl.col("amount").sum() / 12
    topups = known(world, world.airtime, "topup_time").group_by(KEY).agg(pl.col("age"), n=pl.len())
    posts = known(world, world.posts, "posted_time").filter(pl.col("consent_social"))
    words = posts.select(KEY, word=pl.col("text").str.split(" ")).explode("word")
    parts = (
        bills(world, "electricity")
        .group_by(KEY)
        .agg(electricity_late_share_365=(pl.col("late") >= 1).mean()),
        money.group_by(KEY).agg(mobile_money_balance_mean_365=pl.col("balance").mean()),
        periods.group_by(KEY).agg(mobile_money_inflow_cv_365=(squares - total**2).sqrt() / total),
        bills(world, "water").group_by(KEY).agg(water_days_late_mean_365=pl.col("late").clip(0).mean()),
        topups.filter(pl.col("n") > 1).select(
            KEY,
            airtime_gap_mean_365=(pl.col("age").list.max() - pl.col("age").list.min()) / (pl.col("n") - 1),
        ),
        world.bureau.select(KEY, bureau_months_worst_delinquency=pl.col("months_worst_delinquency")),
        words.group_by(KEY).agg(
            posts_money_stress_share_365=pl.col("word")
            .is_in(world.truth["formula"]["money_stress_words"])
            .mean()
        ),
    )
    table = world.applicants.select(KEY)
    for part in parts:
        table = table.join(part, on=KEY, how="left", maintain_order="left")
    return table


def test_features_and_true_pd_follow_from_the_clean_files(clean):
    again = behaviour(clean)
    formula = clean.truth["formula"]
    logit = pl.lit(float(formula["intercept"]))
    for term in formula["terms"]:
        x = pl.col(term["feature"]).cast(pl.Float64)
        part = term["coefficient"] * (TRANSFORM[term["transform"]](x) - term["centre"]) / term["scale"]
        logit = logit + pl.when(x.is_not_null()).then(part).otherwise(0.0)
        given = clean.known[term["feature"]].to_numpy()
        np.testing.assert_allclose(
            again[term["feature"]].cast(pl.Float64).to_numpy(), given, rtol=1e-6, atol=1e-6
        )
    prob = again.select(1 / (1 + (-logit).exp())).to_series().to_numpy()
    np.testing.assert_allclose(prob, clean.known["prob_default"].to_numpy(), rtol=1e-6)


def test_errors_do_not_touch_the_truth(world, clean):
    assert world.known.equals(clean.known)
    shown = ("formula", "outcome", "proxy", "bias", "drift")
    assert {key: world.truth[key] for key in shown} == {key: clean.truth[key] for key in shown}


def test_terms_are_named_after_features_and_go_one_way(world):
    terms = world.truth["formula"]["terms"]
    assert 6 <= len(terms) <= 9
    for term in terms:
        assert term["feature"] in world.known.columns
        assert term["direction"] == ("higher, higher PD" if term["coefficient"] > 0 else "higher, lower PD")


def test_default_is_drawn_from_the_true_pd(world):
    prob, default = world.known["prob_default"], world.known["default"]
    assert world.truth["outcome"]["default_rate"] == pytest.approx(default.mean())
    assert 0.13 < default.mean() < 0.18
    pieces = world.known.group_by(prob.rank("ordinal") // 501).agg(
        gap=(pl.col("default") - pl.col("prob_default")).sum(),
        deviation=(pl.col("prob_default") * (1 - pl.col("prob_default"))).sum().sqrt(),
    )
    assert (pieces["gap"] / pieces["deviation"]).abs().max() < 3.5


def test_the_oracle_is_as_good_as_told(world):
    outcome, table = world.truth["outcome"], world.known
    auc = roc_auc_score(table["default"], table["prob_default"])
    assert outcome["oracle_auc"] == pytest.approx(auc, abs=1e-12)
    assert 0.79 < auc < 0.86
    seen = table.filter(pl.col("approved_before") == 1)
    auc = roc_auc_score(seen["default"], seen["prob_default"])
    assert outcome["oracle_auc_approved"] == pytest.approx(auc, abs=1e-12)
    assert 0.77 < auc < 0.85


def test_outcome_is_known_only_for_those_approved_before(world):
    people = world.applicants
    assert people["default"].is_not_null().equals((people["approved_before"] == 1).alias("default"))
    known_rows = people["default"].is_not_null()
    assert (people["default"] == world.known["default"]).filter(known_rows).all()
    assert 0.76 < people["approved_before"].mean() < 0.86
    assert world.truth["outcome"]["approval_rate"] == pytest.approx(people["approved_before"].mean())


def test_who_defaulted_was_60_days_late_and_some_who_recovered_were(world):
    people = world.applicants
    assert people["past_due_60"].is_null().equals(people["default"].is_null().alias("past_due_60"))
    known = people.drop_nulls("default")
    assert (known["past_due_60"] >= known["default"]).all()
    recovered = known.filter(pl.col("default") == 0)["past_due_60"].mean()
    assert 0.03 < recovered < 0.2


def test_every_application_has_matured(world):
    dates = world.truth["dates"]
    times = world.applicants["application_time"]
    assert str(times.min())[:10] >= dates["first_application"] == "2024-01-01"
    assert str(times.max())[:10] <= dates["last_application"] == "2025-12-31"
    matured = pl.select(pl.lit(dates["last_application"]).str.to_date() + pl.duration(days=180)).item()
    assert str(matured) <= dates["extracted"]


def test_planted_bias_is_found_at_equal_true_pd(world):
    prob = world.known["prob_default"].to_numpy()
    south = (world.applicants["community"] == "south").to_numpy()
    columns = np.column_stack([np.log(prob / (1 - prob)), south])
    fitted = LogisticRegression(C=1e6).fit(columns, world.applicants["approved_before"].to_numpy())
    assert fitted.coef_[0, 1] == pytest.approx(world.truth["bias"]["log_odds"], abs=0.3)
    rates = world.applicants.group_by("community").agg(pl.col("approved_before").mean())
    assert dict(rates.iter_rows()) == pytest.approx(world.truth["bias"]["approval_rate"])
