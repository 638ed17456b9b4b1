"""What hangs on the inference: ranking, decisions and the error against a truth that is known."""

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit
from scipy.stats import spearmanr

from workbench.errors import DataError
from workbench.statistics.proportions import wilson
from workbench.statistics.ranking import auc, compare_auc
from workbench.training.boosting import booster_settings
from workbench.training.folds import boosted_out_of_fold, make_folds, out_of_fold
from workbench.training.reject_sensitivity import reject_sensitivity
from workbench.training.rejects import infer_outcomes, predicted

SETTINGS = booster_settings([0, 0, 0], seed=1) | {"max_depth": 2, "learning_rate": 0.2, "nthread": 1}
ROUNDS = 25
MEASURED = [
    "auc",
    "difference",
    "rank_correlation",
    "flipped",
    "log_odds_bias",
    "absolute_error",
    "error_change",
]


def world(size=3_000, hidden=0.0, seed=1):
    """Approved with outcomes, declined with true PDs; above 0 `hidden` drove the approvals as well."""
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(size, 3))
    unseen = draw.normal(size=size)
    log_odds = features[:, 0] + 0.5 * features[:, 1] - 1.2 + hidden * unseen
    ok = draw.random(size) < expit(1.5 - 0.8 * log_odds)
    default = (draw.random(size) < expit(log_odds)).astype(float)
    return features[ok], default[ok], features[~ok], expit(log_odds[~ok])


FEATURES, DEFAULT, DECLINED, TRUTH = world()
PEOPLE = pl.DataFrame(
    {"applicant_id": np.arange(DEFAULT.size), "default": DEFAULT.astype(int), "vintage": "2025-01"}
)
FOLDS = make_folds(PEOPLE, folds=3, forward=False, seed=1)
WAY = {"settings": SETTINGS, "rounds": ROUNDS, "seed": 4}


def sensitivity(**values):
    usual = {"prudence": [1.0, 2.0], "approval_rate": 0.7, "true_prob_default": TRUTH, "level": 0.95} | WAY
    arrays = {"features": FEATURES, "default": DEFAULT, "declined": DECLINED, "folds": FOLDS}
    return reject_sensitivity(**(arrays | usual | values))


@pytest.fixture(scope="module")
def table():
    return sensitivity()


def row(table, inference, prudence=None):
    found = table.filter(pl.col("inference") == inference, pl.col("prudence").eq_missing(prudence))
    return found.row(0, named=True)


def test_a_row_for_no_inference_and_for_each_with_each_prudence(table):
    assert table.select("inference", "prudence").rows() == [
        ("none", None),
        ("fuzzy", 1.0),
        ("fuzzy", 2.0),
        ("parcelling", 1.0),
        ("parcelling", 2.0),
    ]
    ends = [f"{name}{end}" for name in MEASURED for end in ("", "_low", "_high")]
    assert table.columns == ["inference", "prudence", "declined_bad_rate", *ends, "level", "method"]


def test_no_inference_is_the_champion_s_own_cross_validation(table):
    found, first = row(table, "none"), table.row(0, named=True)
    prob = boosted_out_of_fold(FEATURES, DEFAULT, FOLDS, settings=SETTINGS, rounds=ROUNDS)
    wanted = auc(DEFAULT, prob)
    assert (found["auc"], found["auc_low"], found["auc_high"]) == (wanted.value, wanted.low, wanted.high)
    assert (found["rank_correlation"], found["flipped"]) == (1, 0)
    nothing = ["difference", "rank_correlation_low", "flipped_low", "error_change", "error_change_low"]
    assert [first[name] for name in nothing] == [None] * 5


def models(inference, prudence):
    """The same by hand: PDs of the approved out of fold, and of the declined."""

    def fit(rows, others):
        made = infer_outcomes(
            FEATURES[rows], DEFAULT[rows], DECLINED, inference=inference, prudence=prudence, **WAY
        )
        return predicted(made, others, settings=SETTINGS, rounds=ROUNDS)

    own = out_of_fold(FOLDS, DEFAULT.size, lambda fitted, judged: fit(fitted, FEATURES[judged]))
    return own, fit(np.arange(DEFAULT.size), DECLINED)


@pytest.mark.parametrize("inference", ["fuzzy", "parcelling"])
def test_every_number_is_that_of_the_models_made_by_hand(table, inference):
    found = row(table, inference, 2.0)
    (base, first), (own, other) = models("none", 1.0), models(inference, 2.0)
    gap = compare_auc(DEFAULT, base, own).difference
    assert (found["auc"], found["difference"]) == (auc(DEFAULT, own).value, gap.value)
    assert (found["difference_low"], found["difference_high"]) == (gap.low, gap.high)
    old, new = np.concatenate([base, first]), np.concatenate([own, other])
    assert found["rank_correlation"] == pytest.approx(spearmanr(old, new).statistic)
    decided = [prob <= np.sort(prob)[int(np.ceil(0.7 * prob.size)) - 1] for prob in (old, new)]
    flips = wilson(int((decided[0] != decided[1]).sum()), old.size)
    assert (found["flipped"], found["flipped_low"], found["flipped_high"]) == (
        flips.value,
        flips.low,
        flips.high,
    )
    assert found["log_odds_bias"] == pytest.approx((logit(other) - logit(TRUTH)).mean(), abs=1e-6)
    errors = np.abs(other - TRUTH), np.abs(first - TRUTH)
    assert found["absolute_error"] == pytest.approx(errors[0].mean())
    change = errors[0] - errors[1]
    assert found["error_change"] == pytest.approx(change.mean())
    width = 2 * 1.959964 * change.std(ddof=1) / np.sqrt(change.size)
    assert found["error_change_high"] - found["error_change_low"] == pytest.approx(width, rel=1e-5)


def test_prudence_makes_the_declined_worse(table):
    for inference in ("fuzzy", "parcelling"):
        low, high = row(table, inference, 1.0), row(table, inference, 2.0)
        assert high["declined_bad_rate"] > low["declined_bad_rate"] + 0.05
        assert high["log_odds_bias_low"] > low["log_odds_bias_high"]


def test_where_nothing_hidden_drove_the_approvals_prudence_is_an_error(table):
    assert row(table, "none")["log_odds_bias"] == pytest.approx(0, abs=0.15)
    assert row(table, "fuzzy", 2.0)["log_odds_bias_low"] > 0
    assert row(table, "fuzzy", 2.0)["error_change_low"] > 0


def test_where_something_hidden_did_the_model_of_the_approved_is_too_kind():
    features, default, declined, truth = world(hidden=1.5)
    people = pl.DataFrame(
        {"applicant_id": np.arange(default.size), "default": default.astype(int), "vintage": "2025-01"}
    )
    folds = make_folds(people, folds=2, forward=False, seed=1)
    arrays = {"features": features, "default": default, "declined": declined, "folds": folds}
    found = sensitivity(**arrays, true_prob_default=truth, prudence=[1.0, 3.0])
    assert row(found, "none")["declined_bad_rate"] < truth.mean() - 0.05
    biases = [row(found, "none"), row(found, "fuzzy", 1.0), row(found, "fuzzy", 3.0)]
    assert abs(biases[2]["declined_bad_rate"] - truth.mean()) < abs(
        biases[0]["declined_bad_rate"] - truth.mean()
    )


def test_without_a_truth_the_errors_are_not_known_and_all_else_is_the_same(table):
    found = sensitivity(true_prob_default=None)
    errors = [name for name in table.columns if name.startswith(("log_odds", "absolute", "error"))]
    assert found.select(pl.col(errors).is_null().all()).row(0) == (True,) * len(errors)
    assert found.drop(errors).equals(table.drop(errors))


def test_nothing_is_learnt_about_who_judges():
    """Outcomes by chance and trees that learn by heart: whoever leaks them ranks better than chance."""
    noise = np.random.default_rng(5).permutation(DEFAULT)[:800]
    folds = make_folds(
        PEOPLE.head(800).with_columns(default=noise.astype(int)), folds=4, forward=False, seed=2
    )
    deep = SETTINGS | {"max_depth": 10, "min_child_weight": 0.1}
    arrays = {"features": FEATURES[:800], "default": noise, "folds": folds}
    found = sensitivity(**arrays, settings=deep, prudence=[1.0])
    assert found.select(((pl.col("auc") - 0.5).abs() < 0.08).all()).item()


def test_the_seed_alone_decides(table):
    assert sensitivity().equals(table)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"prudence": []}, "no prudence is given"),
        ({"prudence": [1.0, 0.5]}, "a prudence is 0.5; at least 1 is right"),
        ({"approval_rate": 1.0}, "the approval rate is 1"),
        ({"true_prob_default": TRUTH[:3]}, "true_prob_default has 3 rows"),
        ({"true_prob_default": 2 * np.ones(TRUTH.size)}, "true_prob_default is missing or outside [0, 1]"),
        ({"declined": DECLINED[:, :2]}, "3 features of the approved and 2 of the declined"),
        ({"bands": 0}, "bands is 0"),
    ],
)
def test_what_cannot_be_assessed_is_refused(values, said):
    with pytest.raises(DataError) as caught:
        sensitivity(**values)
    assert any(said in fault for fault in caught.value.faults)
