"""Outcomes inferred for the declined: what is assumed of whom, and with which weight."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from statsmodels.api import GLM, families

from workbench.errors import DataError
from workbench.training.boosting import booster_settings, train_booster
from workbench.training.matrices import in_core_matrix
from workbench.training.rejects import (
    Augmented,
    augmented,
    declined_rows,
    fuzzy_augmentation,
    infer_outcomes,
    known_prob,
    parcelling,
)

SETTINGS = booster_settings([0, 0], seed=1) | {"max_depth": 2, "nthread": 1}
PROBS = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def approved(size=400, seed=1):
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(size, 2))
    return features, (draw.random(size) < expit(features[:, 0] - 1)).astype(float)


def declined(size=150, seed=2):
    return np.random.default_rng(seed).normal(0.8, 1, size=(size, 2))


FEATURES, DEFAULT = approved()
DECLINED = declined()


# Fuzzy augmentation


@given(PROBS, st.floats(1, 10))
def test_everyone_declined_is_a_bad_and_a_good_and_weighs_one_applicant(prob, prudence):
    rows = np.zeros((len(prob), 2))
    made = fuzzy_augmentation(FEATURES, DEFAULT, rows, np.array(prob), prudence=prudence)
    own, bads, goods = np.split(made.weight, [400, 400 + len(prob)])
    assert (own == 1).all()
    assert bads + goods == pytest.approx(np.ones(len(prob)))
    odds = prudence * np.array(prob) / (1 - np.array(prob) + prudence * np.array(prob))
    assert bads == pytest.approx(odds)
    assert made.default.tolist() == [*DEFAULT, *[1.0] * len(prob), *[0.0] * len(prob)]
    assert np.array_equal(made.features, np.concatenate([FEATURES, rows, rows]))
    assert made.declined_bad_rate == pytest.approx(odds.mean())


@pytest.mark.parametrize(
    ("prob", "prudence", "wanted"), [(0.2, 1, 0.2), (0.2, 4, 0.5), (0.5, 3, 0.75), (1, 2, 1)]
)
def test_prudence_multiplies_the_odds_of_default(prob, prudence, wanted):
    made = fuzzy_augmentation(FEATURES, DEFAULT, DECLINED[:1], np.array([prob]), prudence=prudence)
    assert made.weight[400] == pytest.approx(wanted)


def test_without_prudence_a_logistic_regression_does_not_learn_from_its_own_inference():
    """What was inferred by a model is what it expects: its score equations are solved already."""

    def design(rows):
        return np.column_stack([np.ones(len(rows)), rows])

    def fitted(rows, default, weight):
        return GLM(default, design(rows), families.Binomial(), freq_weights=weight).fit().params

    first = fitted(FEATURES, DEFAULT, np.ones(400))
    prob = expit(design(DECLINED) @ first)
    same, worse = (
        fuzzy_augmentation(FEATURES, DEFAULT, DECLINED, prob, prudence=prudence) for prudence in (1, 3)
    )
    assert fitted(same.features, same.default, same.weight) == pytest.approx(first, abs=1e-6)
    assert fitted(worse.features, worse.default, worse.weight)[0] > first[0] + 0.1


# Parcelling


def parcelled(prob, declined_prob, default=None, **values):
    size = len(prob)
    outcome = np.arange(size) % 2 if default is None else np.array(default)
    rows = np.zeros((size, 1)), outcome.astype(float), np.array(prob, dtype=float)
    others = np.zeros((len(declined_prob), 1)), np.array(declined_prob, dtype=float)
    return parcelling(*rows, *others, **({"seed": 1} | values))


def test_each_band_of_the_declined_has_the_rate_of_its_approved():
    prob = np.repeat([0.1, 0.2, 0.6], 10)
    default = [*[1] + [0] * 9, *[1] * 2 + [0] * 8, *[1] * 5 + [0] * 5]
    made = parcelled(prob, np.repeat([0.05, 0.2, 0.9], 20), default, bands=3)
    inferred = made.default[30:].reshape(3, 20).sum(axis=1)
    assert inferred.tolist() == [2, 4, 10]  # below and above the approved, the outermost bands hold
    assert made.declined_bad_rate == pytest.approx(16 / 60)
    assert (made.weight == 1).all()


@pytest.mark.parametrize(("prudence", "bads"), [(1, 4), (2, 7), (6, 12)])
def test_prudence_multiplies_the_odds_of_every_band(prudence, bads):
    made = parcelled([0.3] * 10, [0.3] * 20, [1, 1] + [0] * 8, prudence=prudence)
    assert made.default[10:].sum() == bads  # odds 1:4 of 20, times 2 and times 6


def test_the_edge_of_a_band_belongs_to_it():
    prob, default = [0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]
    for value, wanted in ((0.2, 0), (np.nextafter(0.2, 1), 1)):
        assert parcelled(prob, [value], default, bands=2).default[-1] == wanted


def test_beyond_all_approved_the_band_of_the_riskiest_holds():
    """Most of them have the highest PD, so the quantiles cut nobody off above it."""
    assert parcelled([0.1, 0.2, 0.2, 0.2], [0.9], [0, 1, 1, 1], bands=2).default[-1] == 1


@given(PROBS, st.integers(1, 12), st.floats(1, 10), st.integers(0, 9))
def test_whatever_the_bands_as_many_become_bad_as_their_rates_say(prob, bands, prudence, seed):
    own = np.array([0.05, 0.05, 0.2, 0.2, 0.5, 0.5, 0.9])
    made = parcelled(own, prob, bands=bands, prudence=prudence, seed=seed)
    assert made.default.size == 7 + len(prob)
    assert set(made.default) <= {0.0, 1.0}
    again = parcelled(own, prob, bands=bands, prudence=prudence, seed=seed)
    assert np.array_equal(made.default, again.default)


def test_the_seed_draws_who_becomes_bad_and_not_how_many():
    first, second = (parcelled([0.2] * 10, [0.2] * 50, seed=seed).default[10:] for seed in (1, 2))
    assert first.sum() == second.sum() == 25
    assert not np.array_equal(first, second)


# What cannot be used

BAD = [
    ({"prudence": 0.99}, "a prudence is 0.99; at least 1 is right"),
    ({"prudence": float("nan")}, "a prudence is nan"),
    ({"declined_prob": np.full(3, 0.5)}, "declined_prob has 3 rows; 150 are needed"),
    ({"declined_prob": np.full(150, 1.5)}, "declined_prob is missing or outside [0, 1] in 150 of 150 rows"),
    (
        {"declined_prob": np.full(150, np.nan)},
        "declined_prob is missing or outside [0, 1] in 150 of 150 rows",
    ),
    ({"declined_features": DECLINED[:, :1]}, "2 features of the approved and 1 of the declined"),
    ({"declined_features": DECLINED[:0], "declined_prob": np.zeros(0)}, "nobody was declined"),
    ({"features": FEATURES[:9]}, "9 rows of features for 400 outcomes"),
]


@pytest.mark.parametrize(("values", "said"), BAD)
def test_arrays_that_do_not_fit_are_refused(values, said):
    usual = {"features": FEATURES, "default": DEFAULT, "declined_features": DECLINED}
    usual |= {"declined_prob": np.full(150, 0.3)}
    for function, more in (
        (fuzzy_augmentation, {}),
        (parcelling, {"prob_default": np.linspace(0, 1, 400), "seed": 1}),
    ):
        with pytest.raises(DataError) as caught:
            function(**(usual | more | values))
        assert any(said in fault for fault in caught.value.faults)


def test_bands_and_classes_are_checked():
    with pytest.raises(DataError, match="bands is 0; at least 1 is needed"):
        parcelled([0.1, 0.2], [0.1], bands=0)
    with pytest.raises(DataError, match="0 bads"):
        fuzzy_augmentation(FEATURES, DEFAULT * 0, DECLINED, np.full(150, 0.3))


def test_one_prudence_of_1_is_allowed():
    assert fuzzy_augmentation(FEATURES, DEFAULT, DECLINED, np.full(150, 0.3), prudence=1).weight[400] == 0.3


# Who is declined beside the development sample


def frame(declined_months, **sizes):
    samples = [name for name, size in sizes.items() for _ in range(size)]
    rows = {"sample": samples, "vintage": ["2025-03"] * len(samples)}
    rows["sample"] += ["declined"] * len(declined_months)
    rows["vintage"] += declined_months
    size = len(rows["sample"])
    return pl.DataFrame({"applicant_id": range(size, 0, -1), **rows})


def test_as_large_a_part_of_the_declined_as_development_is_of_the_others():
    whole = frame(["2025-02"] * 40, development=60, calibration=15, holdout=25)
    drawn = declined_rows(whole, seed=1)
    assert drawn.height == 24
    assert drawn["sample"].unique().to_list() == ["declined"]
    assert drawn["applicant_id"].is_sorted()
    assert drawn.equals(declined_rows(whole.sample(fraction=1, shuffle=True, seed=4), seed=1))
    assert not drawn.equals(declined_rows(whole, seed=2))


@pytest.mark.parametrize(("month", "used"), [("2025-03", 2), ("2025-04", 1)])
def test_nobody_is_declined_later_than_the_development_sample(month, used):
    whole = frame(["2025-01", month], development=4)
    assert declined_rows(whole, seed=1).height == used


def test_later_applications_do_not_change_the_proportion():
    whole = frame(["2025-02"] * 40, development=50, holdout=50)
    late = pl.DataFrame({"applicant_id": [999], "sample": ["out_of_time"], "vintage": ["2025-09"]})
    assert declined_rows(pl.concat([whole, late]), seed=1).height == 20


@pytest.mark.parametrize(
    "whole", [frame([], development=4), frame(["2025-04"], development=4), frame(["2025-01"], holdout=4)]
)
def test_a_study_without_declined_is_refused(whole):
    with pytest.raises(DataError, match="the declined are not in the study"):
        declined_rows(whole, seed=1)


# All at once


def inferred(inference, prudence=1.5, **values):
    usual = {"settings": SETTINGS, "rounds": 10, "seed": 1}
    asked = {"inference": inference, "prudence": prudence}
    return infer_outcomes(FEATURES, DEFAULT, DECLINED, **(usual | asked | values))


def test_none_adds_nobody_and_trains_the_same_booster():
    made = inferred("none")
    assert np.array_equal(made.features, FEATURES)
    matrices = made.matrix(["a", "b"]), in_core_matrix(FEATURES, DEFAULT, names=["a", "b"])
    boosters = [train_booster(m, settings=SETTINGS, rounds=10, block_rounds=10).booster for m in matrices]
    assert boosters[0].save_raw("ubj") == boosters[1].save_raw("ubj")


@pytest.mark.parametrize(("inference", "rows"), [("fuzzy", 700), ("parcelling", 550)])
def test_an_inference_is_that_of_models_of_the_approved(inference, rows):
    made = inferred(inference)
    known = known_prob(FEATURES, DEFAULT, DECLINED, settings=SETTINGS, rounds=10, seed=1)
    again = augmented(known, inference, 1.5, bands=10, seed=1)
    assert np.array_equal(made.default, again.default)
    assert np.array_equal(made.weight, again.weight)
    assert made.default.size == rows
    assert np.array_equal(made.default[:400], DEFAULT)
    assert made.weight.sum() == pytest.approx(550)
    assert made.matrix().num_row() == rows
    assert made.declined_bad_rate > inferred(inference, 1.0).declined_bad_rate


def test_the_bands_rest_on_models_that_did_not_see_the_rows():
    """Deep trees know their own rows by heart: bands of those would hold goods or bads alone."""
    settings = SETTINGS | {"max_depth": 12, "min_child_weight": 0.01, "reg_lambda": 0.0}
    noise = np.random.default_rng(3).permutation(DEFAULT)
    known = known_prob(FEATURES, noise, DECLINED, settings=settings, rounds=60, seed=1)
    gap = known.prob_default[noise == 1].mean() - known.prob_default[noise == 0].mean()
    assert abs(gap) < 0.15


def test_weights_count_in_training():
    size, ones = 2_000, np.ones(2_000)
    rows = np.zeros((2 * size, 2))
    default = np.concatenate([ones, 0 * ones])
    made = Augmented(rows, default, np.concatenate([0.1 * ones, 0.9 * ones]), 0.1)
    booster = train_booster(made.matrix(), settings=SETTINGS, rounds=60, block_rounds=60).booster
    assert booster.inplace_predict(rows[:1])[0] == pytest.approx(0.1, abs=0.01)


def test_an_unknown_inference_is_refused_with_its_near_name():
    with pytest.raises(DataError) as caught:
        inferred("parceling")
    assert "did you mean parcelling?" in caught.value.faults[0]
