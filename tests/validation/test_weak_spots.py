import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from workbench.errors import DataError
from workbench.validation.weak_spots import find_weak_spots


def world(generator, size=6000, planted=0.0, missing=0.1, centre=-1.2):
    """Applicants whose PDs are true but in debt > 0.5 and age <= 0, where the log-odds lack `planted`."""
    features = generator.normal(size=(size, 5))
    log_odds = centre + 0.8 * features[:, 0] + 0.5 * features[:, 1]
    spot = (features[:, 2] > 0.5) & (features[:, 3] <= 0)
    default = (generator.random(size) < expit(log_odds + planted * spot)).astype(int)
    features[generator.random((size, 5)) < missing] = np.nan
    names = ["income", "late_count", "debt", "age", "noise"]
    return pl.DataFrame(features, schema=names), default, expit(log_odds)


def chosen(features, place):
    """Read a place back from its text."""
    words = place.replace("(", "( ").replace(")", " )").split(" ")
    values, expressions = {name: features[name].to_numpy() for name in features.columns}, []
    while words:
        word = words.pop(0)
        if word in values:
            sign = words.pop(0)
            if sign == "is":
                expressions.append(f"({'' if words.pop(0) == 'missing' else '~'}np.isnan(values['{word}']))")
            else:
                expressions.append(f"(values['{word}'] {sign} {words.pop(0)})")
        else:
            expressions.append(
                {"and": "&", "or": "|", "everyone": "np.ones(len(features), bool)"}.get(word, word)
            )
    return eval(" ".join(expressions), {"np": np, "values": values, "features": features})


def test_a_planted_weak_spot_is_found_confirmed_and_told_in_its_words():
    sample = world(np.random.default_rng(1), planted=1.0)
    table = find_weak_spots(*sample, seed=1)
    worst = table.row(0, named=True)
    assert worst["confirmed"]
    assert "debt > " in worst["place"]
    assert "age <= " in worst["place"]
    assert worst["default_rate"] > worst["mean_pd"]
    assert worst["low"] > 0
    assert {"log_loss", "default_gap"} == set(table.filter("confirmed")["measure"])
    assert not table.filter(~pl.col("place").str.contains("debt"))["confirmed"].any()


def test_overstated_risk_is_below_zero():
    table = find_weak_spots(*world(np.random.default_rng(2), planted=-1.5, size=12_000), seed=1)
    worst = table.filter(measure="default_gap").row(0, named=True)
    assert worst["confirmed"]
    assert worst["high"] < 0


def test_a_place_where_the_rank_is_lost_is_found_by_the_loss_though_the_level_is_right():
    generator = np.random.default_rng(4)
    features, _, prob = world(generator, size=12_000, missing=0.0)
    lost = features["age"].to_numpy() > 0.8
    truth = np.where(lost, prob[lost].mean(), prob)
    default = (generator.random(prob.size) < truth).astype(int)
    table = find_weak_spots(features, default, prob, names=["age", "noise"], depth=1, seed=1)
    assert table.filter("confirmed")["measure"].to_list() == ["log_loss"]
    assert "age > " in table["place"][0]


def test_the_text_is_the_place_and_the_leaves_share_out_the_applicants_who_were_not_searched():
    features, default, prob = world(np.random.default_rng(4), planted=0.5, size=3000)
    table = find_weak_spots(features, default, prob, search_share=0.4, seed=1)
    confirming = np.ones(3000, dtype=bool)
    confirming[np.random.default_rng(1).permutation(3000)[:1200]] = False
    for measure in ("log_loss", "default_gap"):
        assert table.filter(measure=measure)["applicants"].sum() == 1800
    for row in table.iter_rows(named=True):
        inside = chosen(features, row["place"]) & confirming
        assert row["applicants"] == inside.sum()
        assert row["defaults"] == default[inside].sum()
        assert row["mean_pd"] == pytest.approx(prob[inside].mean())
        gap = default[inside] - prob[inside]
        log_odds = np.log(prob[inside] / (1 - prob[inside]))
        excess = gap if row["measure"] == "default_gap" else -gap * log_odds
        assert row["excess"] == pytest.approx(excess.mean())
        assert row["high"] - row["excess"] == pytest.approx(
            1.959964 * excess.std(ddof=1) / np.sqrt(inside.sum())
        )


@given(st.floats(0.01, 0.99), st.integers(0, 1))
def test_the_excess_loss_is_the_loss_less_what_true_probabilities_cost(prob, default):
    features = pl.DataFrame({"age": np.zeros(40)})
    table = find_weak_spots(features, [default] * 40, [prob] * 40, seed=1)
    loss = -np.log(prob if default else 1 - prob)
    cost = -(prob * np.log(prob) + (1 - prob) * np.log(1 - prob))
    assert table.filter(measure="log_loss")["excess"].item() == pytest.approx(loss - cost, abs=1e-9)


def test_missing_is_a_place_of_its_own():
    generator = np.random.default_rng(5)
    features, _, prob = world(generator, missing=0.2)
    absent = features["age"].is_nan().to_numpy()
    default = (generator.random(prob.size) < np.where(absent, np.minimum(2 * prob, 0.95), prob)).astype(int)
    table = find_weak_spots(features.fill_nan(None), default, prob, names=["age", "noise"], depth=1, seed=1)
    assert table.filter("confirmed")["place"].to_list() == ["age is missing"] * 2
    assert "age is known" in table["place"].to_list()


def test_a_feature_without_missing_values_is_never_said_to_have_any():
    table = find_weak_spots(*world(np.random.default_rng(6), missing=0.0), seed=1)
    assert not table["place"].str.contains("missing").any()
    assert table["place"].str.contains(" > ").any()


def test_bounds_on_one_feature_are_told_together():
    generator = np.random.default_rng(7)
    age = generator.uniform(0, 10, 8000)
    prob = np.full(8000, 0.2)
    default = (generator.random(8000) < np.where((age > 4) & (age <= 6), 0.4, 0.2)).astype(int)
    table = find_weak_spots(pl.DataFrame({"age": age}), default, prob, seed=1)
    low, high = (float(number) for number in table["place"][0].replace("age > ", "").split(" and age <= "))
    assert (low, high) == pytest.approx((4, 6), abs=0.4)


def test_too_few_to_cut_leave_everyone_as_the_place():
    features, default, prob = world(np.random.default_rng(8), size=300)
    below = find_weak_spots(features, default, prob, least_applicants=76, seed=1)
    assert below["place"].to_list() == ["everyone"] * 2
    assert find_weak_spots(features, default, prob, least_applicants=75, depth=1, seed=1).height == 4


def test_a_place_with_too_few_expected_is_not_tested():
    features = pl.DataFrame({"age": np.zeros(200)})
    tested = find_weak_spots(features, [1, 0] * 100, [0.101] * 200, seed=1)
    assert tested["p_value"].null_count() == 0
    untested = find_weak_spots(features, [1, 0] * 100, [0.099] * 200, seed=1)
    assert untested["p_value"].null_count() == 2
    assert not untested["confirmed"].any()
    assert "not tested: fewer than 10" in untested["method"][0]


def test_yes_or_no_and_empty_and_constant_features_do_no_harm():
    features, default, prob = world(np.random.default_rng(9), planted=1.0)
    odd = features.with_columns(
        flag=pl.col("debt") > 0.5, empty=pl.lit(None, dtype=pl.Float64), same=pl.lit(1)
    )
    table = find_weak_spots(odd, default, prob, names=["flag", "age", "empty", "same"], seed=1)
    assert "flag > 0" in table["place"][0]
    assert not table["place"].str.contains("empty|same").any()


def test_the_seed_decides():
    sample = world(np.random.default_rng(10))
    assert find_weak_spots(*sample, seed=1).equals(find_weak_spots(*sample, seed=1))
    assert not find_weak_spots(*sample, seed=1).equals(find_weak_spots(*sample, seed=2))


def test_faults_are_all_named():
    features, default, prob = world(np.random.default_rng(11), size=100)
    with pytest.raises(DataError, match="no column lost") as caught:
        find_weak_spots(
            features.with_columns(word=pl.lit("a")).head(99),
            default,
            prob,
            names=["lost", "word"],
            depth=4,
            least_applicants=0,
            search_share=1.0,
            seed=1,
        )
    for fault in (
        "word is String",
        "99 rows and default 100",
        "depth 4",
        "least_applicants 0",
        "search_share 1.0",
    ):
        assert fault in str(caught.value)
    with pytest.raises(DataError, match="no feature to search"):
        find_weak_spots(features, default, prob, names=[], seed=1)
    with pytest.raises(DataError, match="neither 0 nor 1"):
        find_weak_spots(features, default + 2, prob, seed=1)


@pytest.mark.parametrize("centre", [-1.2, -3.2])
def test_true_probabilities_are_confirmed_false_no_more_often_than_said(centre):
    generator, runs = np.random.default_rng(12), 200
    tables = [
        find_weak_spots(*world(generator, size=2500, centre=centre), least_applicants=100, seed=seed)
        for seed in range(runs)
    ]
    confirmed = np.mean([table["confirmed"].any() for table in tables])
    assert confirmed <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / runs)
    rejected = np.mean([(table["p_adjusted"] < 0.05).any() for table in tables])
    assert 0 < rejected <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / runs)
    searched_again = [table.filter(pl.col("p_value").is_not_null()) for table in tables]
    hits = np.concatenate(
        [((table["low"] <= 0) & (table["high"] >= 0)).to_list() for table in searched_again]
    )
    assert np.mean(hits) >= 0.95 - 0.03
