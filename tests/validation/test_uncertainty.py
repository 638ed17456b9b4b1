import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from workbench.errors import DataError
from workbench.validation.uncertainty import (
    ReviewBand,
    applicant_uncertainty,
    coverage_table,
    fit_review_band,
    review_table,
    sure_decisions,
    uncertainty_table,
)


def sample(size=4000, seed=1, signal=1.2):
    generator = np.random.default_rng(seed)
    margin = generator.normal(-2, signal, size)
    prob = 1 / (1 + np.exp(-margin))
    return (generator.random(size) < prob).astype(int), prob


DEFAULT, PROB = sample()
BAND = fit_review_band(*sample(3000, seed=2), error=0.1)


def rows_of(table):
    return {(row["class"], row["measure"]): row for row in table.iter_rows(named=True)}


# The band


def test_the_band_by_hand():
    default = [0] * 9 + [1] * 9
    prob = [*(np.arange(1, 10) / 100), *(np.arange(1, 10) / 10)]
    band = fit_review_band(default, prob, error=0.2)
    assert (band.good_up_to, band.bad_from) == (0.08, 0.2)
    assert (band.goods, band.bads) == (9, 9)
    assert band.decide([0.08, 0.081, 0.1999, 0.2]).to_list() == ["approved", "review", "review", "declined"]


def test_the_place_counts_the_applicant_to_come():
    band = fit_review_band([0] * 10 + [1] * 10, [*range(10), *range(10)] / np.array(10), error=0.1)
    assert (band.good_up_to, band.bad_from) == (0.9, 0.0)


def test_where_the_sets_overlap_people_decide():
    band = ReviewBand(good_up_to=0.3, bad_from=0.1, error=0.1, goods=50, bads=50)
    assert band.decide([0.09, 0.1, 0.3, 0.31]).to_list() == ["approved", "review", "review", "declined"]
    assert band.holds([0.3, 0.31], outcome=0).tolist() == [True, False]
    assert band.holds([0.09, 0.1], outcome=1).tolist() == [False, True]


@given(st.integers(0, 1000), st.sampled_from([0.05, 0.1, 0.3]))
def test_on_its_own_sample_a_band_holds_at_least_what_was_asked(seed, error):
    default, prob = sample(400, seed=seed)
    band = fit_review_band(default, prob, error=error)
    for outcome in (0, 1):
        assert band.holds(prob[default == outcome], outcome=outcome).mean() >= 1 - error


def test_a_rising_transformation_gives_the_same_decisions():
    other = fit_review_band(*(lambda d, p: (d, p**2))(*sample(3000, seed=2)), error=0.1)
    assert other.decide(PROB**2).equals(BAND.decide(PROB))


def test_a_smaller_error_sends_more_to_review():
    calibration = sample(3000, seed=2)
    shares = [
        review_table(DEFAULT, fit_review_band(*calibration, error=error).decide(PROB)).filter(
            decision="review"
        )["share"][0]
        for error in (0.05, 0.1, 0.2)
    ]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[2] + 0.2


def test_coverage_is_kept_on_average_over_calibration_samples():
    error, runs, covered, low = 0.1, 300, np.zeros((300, 2)), np.zeros((300, 2))
    for seed in range(runs):
        band = fit_review_band(*sample(400, seed=5000 + seed), error=error)
        rows = rows_of(coverage_table(band, DEFAULT, PROB))
        for place, name in enumerate(("good", "bad")):
            covered[seed, place] = rows[name, "covered"]["value"]
            low[seed, place] = rows[name, "covered"]["least"]
    holdout = 2 / np.sqrt([np.sum(DEFAULT == 0), np.sum(DEFAULT == 1)]) * 0.3
    assert (covered.mean(axis=0) >= 1 - error - holdout).all()
    assert (covered.mean(axis=0) <= 1 - error + 0.02 + holdout).all()
    below = (covered < low).mean(axis=0)
    assert (below <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / runs) + 0.02).all()


def test_a_sample_that_moved_is_seen_in_the_coverage():
    moved = sample(4000, seed=8, signal=0.3)[0]
    rows = rows_of(coverage_table(BAND, moved, PROB))
    assert rows["bad", "covered"]["high"] < rows["bad", "covered"]["least"]


def test_coverage_counts_what_is_plainly_there():
    rows = rows_of(coverage_table(BAND, DEFAULT, PROB))
    decision = BAND.decide(PROB).to_numpy()
    bads = DEFAULT == 1
    assert rows["bad", "misjudged"]["count"] == np.sum(decision[bads] == "approved")
    assert rows["good", "misjudged"]["count"] == np.sum(decision[~bads] == "declined")
    assert rows["good", "reviewed"]["count"] == np.sum(decision[~bads] == "review")
    row = rows["bad", "covered"]
    assert (row["low"], row["high"]) == pytest.approx(
        proportion_confint(row["count"], bads.sum(), method="wilson")
    )
    assert row["target"] == 0.9
    assert rows["bad", "reviewed"]["target"] is None


@pytest.mark.parametrize(("bads", "fits"), [(8, False), (9, True)])
def test_the_fewest_defaults(bads, fits):
    default, prob = [0] * 20 + [1] * bads, np.linspace(0.1, 0.9, 20 + bads)
    if fits:
        assert fit_review_band(default, prob, error=0.1).bads == bads
        return
    with pytest.raises(DataError, match=r"8 defaults; an error of 0\.1 needs at least 9"):
        fit_review_band(default, prob, error=0.1)


def test_a_calibration_sample_without_defaults_is_refused():
    with pytest.raises(DataError, match="the calibration sample has 0 defaults"):
        fit_review_band([0] * 50, [0.1] * 50, error=0.9)
    for error in (0.0, 1.0):
        with pytest.raises(DataError, match="between 0 and 1"):
            fit_review_band(DEFAULT, PROB, error=error)


# Outcomes of the decisions


def test_the_band_sorts_by_risk():
    table = review_table(DEFAULT, BAND.decide(PROB))
    assert table["decision"].to_list() == ["approved", "review", "declined"]
    assert table["default_rate"].is_sorted()
    assert table["applicants"].sum() == 4000
    assert table["defaults"].sum() == DEFAULT.sum()
    first = table.row(0, named=True)
    low, high = proportion_confint(first["defaults"], first["applicants"], method="wilson")
    assert (first["low"], first["high"]) == pytest.approx((low, high))


def test_nobody_reviewed_has_no_default_rate():
    table = review_table([0, 1], pl.Series(["approved", "declined"]))
    assert table.filter(decision="review").row(0)[1:3] == (0, 0.0)
    assert table["default_rate"].to_list() == [0, None, 1]


def test_other_decisions_and_rows_are_refused():
    with pytest.raises(DataError) as caught:
        review_table([0, 1, 0], pl.Series(["approved", "perhaps"]))
    assert "3 outcomes and 2 decisions" in str(caught.value)
    assert "1 decisions are none of approved, review, declined" in str(caught.value)
    assert "perhaps" not in str(caught.value)


# Resampled models


def test_uncertainty_by_hand():
    base, models = [0.0, -1.0], [[0.1, -1.0], [-0.1, -1.0], [0.3, -1.0]]
    table = applicant_uncertainty(base, models, level=0.9)
    deviation = np.std([0.1, -0.1, 0.3], ddof=1)
    assert table["sd_log_odds"].to_list() == pytest.approx([deviation, 0])
    margin = stats.t.ppf(0.95, 2) * deviation
    assert table["prob_low"][0] == pytest.approx(1 / (1 + np.exp(margin)))
    assert table["prob_high"][0] == pytest.approx(1 / (1 + np.exp(-margin)))
    assert table["prob_low"][1] == table["prob_default"][1] == table["prob_high"][1]


@pytest.mark.parametrize("models", [4, 20])
def test_the_interval_covers_what_the_model_estimates(models):
    generator, size = np.random.default_rng(3), 4000
    truth = generator.normal(-2, 1, size)
    spread = generator.gamma(4, 0.05, size)
    base = truth + spread * generator.normal(size=size)
    resampled = base + spread * generator.normal(size=(models, size))
    table = applicant_uncertainty(base, resampled)
    prob = 1 / (1 + np.exp(-truth))
    inside = (table["prob_low"].to_numpy() <= prob) & (prob <= table["prob_high"].to_numpy())
    assert abs(inside.mean() - 0.95) < 4 * np.sqrt(0.95 * 0.05 / size)


def test_an_interval_that_holds_the_cutoff_is_reviewed():
    table = pl.DataFrame({"prob_low": [0.1, 0.1, 0.2, 0.201], "prob_high": [0.2, 0.201, 0.3, 0.3]})
    assert sure_decisions(table, cutoff=0.2).to_list() == ["approved", "review", "review", "declined"]


def test_the_table_of_all_and_both_sides():
    generator = np.random.default_rng(4)
    base = generator.normal(-2, 1, 2000)
    found = applicant_uncertainty(base, base + 0.2 * generator.normal(size=(10, 2000)))
    table = uncertainty_table(found, cutoff=0.15)
    assert table["part"].unique(maintain_order=True).to_list() == ["all", "approved", "declined"]
    rows = {(row["part"], row["measure"]): row for row in table.iter_rows(named=True)}
    everyone = rows["all", "unsure"]
    unsure = ((found["prob_low"] <= 0.15) & (found["prob_high"] > 0.15)).sum()
    assert everyone["value"] == pytest.approx(unsure / 2000)
    assert rows["approved", "unsure"]["applicants"] + rows["declined", "unsure"]["applicants"] == 2000
    assert rows["all", "sd_log_odds_mean"]["value"] == pytest.approx(found["sd_log_odds"].mean())
    assert rows["all", "sd_log_odds_p95"]["value"] > rows["all", "sd_log_odds_mean"]["high"]
    assert rows["all", "pd_width_mean"]["value"] == pytest.approx(
        (found["prob_high"] - found["prob_low"]).mean()
    )


def test_models_that_agree_are_sure():
    found = applicant_uncertainty([-3.0, 0.0], [[-3.0, 0.0]] * 3)
    assert sure_decisions(found, cutoff=0.2).to_list() == ["approved", "declined"]
    assert uncertainty_table(found, cutoff=0.2).filter(measure="unsure")["value"].to_list() == [0, 0, 0]


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ([[0.0, 1.0]], "1 models; a spread needs at least 2"),
        ([[0.0], [1.0]], "shape \\(2, 1\\); \\[models, 2\\] is needed"),
        ([[0.0, np.nan], [1.0, 2.0]], "missing or infinite in 1 of 4"),
    ],
)
def test_models_that_cannot_be_compared_are_refused(models, words):
    with pytest.raises(DataError, match=words):
        applicant_uncertainty([0.0, 1.0], models)
