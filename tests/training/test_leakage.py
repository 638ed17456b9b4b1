import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from workbench.errors import DataError
from workbench.training.boosting import booster_settings
from workbench.training.folds import Folds, make_folds
from workbench.training.leakage import (
    duplicated_rows,
    future_features,
    identifier_memorisation,
    permuted_target,
)

SETTINGS = booster_settings((), seed=3) | {"max_depth": 3, "learning_rate": 0.2, "nthread": 1}


def world(size=1_500, seed=1, strength=1.0):
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(size, 4))
    risk = -1.2 + strength * features[:, 0]
    return features, (draw.random(size) < 1 / (1 + np.exp(-risk))).astype(float)


def folds_of(default, ids=None, folds=3):
    rows = pl.DataFrame({"applicant_id": np.arange(default.size) if ids is None else ids, "default": default})
    return make_folds(rows.with_columns(vintage=pl.lit("2025-01")), folds=folds, forward=False, seed=1)


def permuted(features, default, folds, permutations=9, **changes):
    options = {"settings": SETTINGS, "rounds": 15, "level": 0.95, "seed": 1, **changes}
    return permuted_target(features, default, folds, permutations=permutations, **options)


# Permuted outcomes


def test_permuted_outcomes_are_found_by_nobody_and_the_real_ones_are():
    features, default = world()
    table = permuted(features, default, folds_of(default))
    assert table["permutation"].to_list() == list(range(10))
    assert table["auc"][0] > 0.7
    assert (table["auc"][1:] - 0.5).abs().max() < 0.08
    assert table["p_value"].to_list() == [0.1, *[None] * 9]


def test_the_p_value_counts_the_permutations_that_rank_as_well():
    features, default = world(600, strength=0.0)
    table = permuted(features, default, folds_of(default), permutations=19)
    as_good = int((table["auc"][1:] >= table["auc"][0]).sum())
    assert as_good > 0
    assert table["p_value"][0] == (1 + as_good) / 20


def test_a_model_that_saw_the_rows_that_judge_finds_the_permuted_outcomes_too():
    features, default = world()
    everyone = np.arange(default.size)
    leaky = Folds(tuple((everyone, judged) for _, judged in folds_of(default).pairs))
    table = permuted(features, default, leaky, permutations=4, rounds=40)
    assert table["low"][1:].min() > 0.6


def test_permuted_aucs_lie_around_a_half_and_their_intervals_cover_it():
    """Small folds of unequal default rates, where pooled predictions would fall below 0.5."""
    features, default = world(240, strength=0.0)
    table = permuted(features, default, folds_of(default, folds=4), permutations=150, rounds=4)[1:]
    error = table["auc"].std() / np.sqrt(150)
    assert abs(table["auc"].mean() - 0.5) < 3.5 * error
    bads, goods = default.sum() / 4, (1 - default).sum() / 4
    within_a_fold = np.sqrt((bads + goods + 1) / (12 * bads * goods))  # Mann and Whitney's, for no relation
    assert ((table["high"] - table["low"]) / 2 / 1.96).mean() == pytest.approx(within_a_fold, rel=0.1)
    covered = table.select(((pl.col("low") <= 0.5) & (pl.col("high") >= 0.5)).mean()).item()
    assert covered > 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / 150)


def test_a_feature_without_variation_tells_nothing():
    _, default = world(300)
    table = permuted(np.zeros((300, 2)), default, folds_of(default), permutations=2)
    assert table["auc"].to_list() == [0.5] * 3
    assert table["low"].null_count() == 3
    assert table["p_value"][0] == 1


def test_the_same_seed_gives_the_same_permutations():
    features, default = world(400)
    folds = folds_of(default)
    assert permuted(features, default, folds, 2).equals(permuted(features, default, folds, 2))
    assert not permuted(features, default, folds, 2, seed=2).equals(permuted(features, default, folds, 2))


def test_at_least_one_permutation_is_needed():
    features, default = world(300)
    assert permuted(features, default, folds_of(default), 1).height == 2
    with pytest.raises(DataError, match="permutations is 0; at least 1"):
        permuted(features, default, folds_of(default), 0)


# Features from the future


def alone(columns, default, line=0.9):
    frame = pl.DataFrame(columns).with_columns(default=pl.Series(default))
    return future_features(frame, names=list(columns), suspicious_auc=line, level=0.95)


def test_a_feature_that_was_made_after_the_outcome_is_suspicious():
    features, default = world()
    late = default * 60 + np.abs(features[:, 1])
    table = alone({"honest": features[:, 0], "collections": late, "recovered": -late}, default)
    assert table["feature"].to_list()[-1] == "honest"
    assert dict(table.select("feature", "suspicious").iter_rows()) == {
        "honest": False,
        "collections": True,
        "recovered": True,
    }
    assert dict(table.select("feature", "auc").iter_rows())["recovered"] == 0


def test_a_value_that_only_defaulters_have_is_suspicious_by_its_absence():
    _, default = world()
    table = alone({"written_off": [1.0 if bad else None for bad in default]}, default)
    row = table.row(0, named=True)
    assert row["suspicious"]
    assert row["missing_auc"] == 0
    assert row["strength"] == 1
    assert row["auc"] is None
    assert row["known"] == default.sum()
    assert row["method"].startswith("undefined")


def test_areas_are_those_of_scikit_learn_with_their_direction():
    features, default = world()
    gaps = np.where(np.arange(1_500) % 3 == 0, np.nan, features[:, 0])
    found = alone({"a": features[:, 0], "minus": -features[:, 0], "gaps": gaps}, default)
    areas = dict(found.select("feature", "auc").iter_rows())
    known = ~np.isnan(gaps)
    assert areas["a"] == pytest.approx(roc_auc_score(default, features[:, 0]))
    assert areas["minus"] == pytest.approx(1 - areas["a"])
    assert areas["gaps"] == pytest.approx(roc_auc_score(default[known], gaps[known]))
    missing = found.row(by_predicate=pl.col("feature") == "gaps", named=True)["missing_auc"]
    assert missing == pytest.approx(roc_auc_score(default, ~known))


def test_the_line_itself_is_not_suspicious():
    features, default = world()
    area = roc_auc_score(default, features[:, 0])
    assert not alone({"a": features[:, 0]}, default, line=area)["suspicious"][0]
    assert alone({"a": features[:, 0]}, default, line=area - 1e-6)["suspicious"][0]


def test_features_that_say_nothing_are_neutral():
    _, default = world(200)
    table = alone({"constant": [3.0] * 200, "unknown": [None] * 200}, default)
    assert table["strength"].to_list() == [0.5, 0.5]
    assert not table["suspicious"].any()


# Identifiers


def memorised(ids, default):
    table = identifier_memorisation(
        pl.Series("applicant_id", ids), default, folds_of(default), level=0.95, seed=1
    )
    return {row["read_from"]: row for row in table.iter_rows(named=True)}


@pytest.mark.parametrize("kind", ["number", "text"])
def test_identifiers_by_chance_tell_nothing(kind):
    _, default = world(2_000, seed=4)
    drawn = np.random.default_rng(5).permutation(2_000)
    found = memorised(drawn if kind == "number" else [f"{at * 7919 % 65_521:08x}" for at in drawn], default)
    for row in found.values():
        assert row["low"] < 0.5 < row["high"]


def test_an_identifier_that_ends_in_the_outcome_is_found():
    _, default = world(2_000)
    drawn = np.random.default_rng(5).permutation(2_000)
    found = memorised(
        [f"{at:05}{'K' if bad else 'M'}" for at, bad in zip(drawn, default, strict=True)], default
    )
    assert found["identifier"]["auc"] > 0.99
    assert found["row_order"]["low"] < 0.5


def test_rows_sorted_by_the_outcome_are_found():
    _, default = world(2_000)
    order = np.argsort(default, kind="stable")
    found = memorised(np.random.default_rng(5).permutation(2_000), default[order])
    assert found["row_order"]["auc"] > 0.99
    assert found["identifier"]["low"] < 0.5


def test_numbers_given_out_by_outcome_are_found():
    _, default = world(2_000)
    found = memorised(np.where(default == 1, 900_000, 100_000) + np.arange(2_000), default)
    assert found["identifier"]["auc"] > 0.99


# Rows that occur in two samples


def samples(*rows):
    schema = {"sample": pl.String, "default": pl.Int64, "a": pl.Float64, "b": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def repeated(frame):
    table = duplicated_rows(frame, names=["a", "b"], level=0.95)
    return {row["sample"]: row for row in table.iter_rows(named=True)}


FRAME = samples(
    ("development", 0, 1.0, 2.0),
    ("development", 0, 1.0, 2.0),  # again in its own sample only counts for the holdout's
    ("holdout", 0, 1.0, 2.0),
    ("development", 1, 5.0, None),
    ("holdout", 0, 5.0, None),
    ("development", 0, 7.0, 7.0),
    ("development", 0, 7.0, 7.0),
    ("development", 0, None, None),
    ("holdout", 1, None, None),
    ("holdout", 1, 9.0, 9.0),
)


def test_what_occurs_in_another_sample_is_counted_with_its_outcome():
    found = repeated(FRAME)
    counts = ("applicants", "nothing_known", "duplicated", "concordant", "discordant")
    assert [found["development"][name] for name in counts] == [6, 1, 3, 2, 1]
    assert [found["holdout"][name] for name in counts] == [4, 1, 2, 1, 1]
    assert found["development"]["share"] == 3 / 5
    assert found["holdout"]["low"] < 2 / 3 < found["holdout"]["high"]


def test_a_missing_value_and_a_nan_are_the_same():
    assert repeated(FRAME.with_columns(pl.col("a", "b").fill_null(float("nan")))) == repeated(FRAME)


def test_samples_without_a_common_row_have_none():
    features, default = world(400)
    frame = pl.DataFrame(features[:, :2], schema=["a", "b"]).with_columns(
        default=pl.Series(default), sample=pl.Series(["development", "holdout"] * 200)
    )
    found = repeated(frame)
    assert [row["duplicated"] for row in found.values()] == [0, 0]
    assert found["holdout"]["share"] == 0
    assert 0 < found["holdout"]["high"] < 0.03


def test_a_sample_of_which_nothing_is_known_has_no_share():
    found = repeated(samples(("development", 0, None, None), ("holdout", 0, 1.0, 1.0)))
    assert found["development"]["share"] is None
    assert found["development"]["low"] is None
    assert found["holdout"]["share"] == 0
