import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import StratifiedKFold
from statsmodels.api import Logit

from workbench.errors import DataError
from workbench.scorer import Calibration
from workbench.training.calibration import METHODS, choose_calibration, compare_calibrations, fit_calibration


def sample(intercept: float, slope: float, size: int = 20_000, seed: int = 1):
    """Margins and defaults whose true log-odds are intercept + slope x margin."""
    generator = np.random.default_rng(seed)
    margin = generator.normal(-1, 1.2, size)
    prob = 1 / (1 + np.exp(-(intercept + slope * margin)))
    return margin, (generator.random(size) < prob).astype(float)


def platt(margin, default, least_defaults=1):
    return fit_calibration(margin, default, method="platt", least_defaults=least_defaults)


@pytest.mark.parametrize(("intercept", "slope"), [(0.0, 1.0), (0.6, 1.0), (-0.4, 0.5), (0.0, 1.6)])
def test_known_intercept_and_slope_are_recovered(intercept, slope):
    fitted = platt(*sample(intercept, slope))
    assert fitted.intercept == pytest.approx(intercept, abs=0.1)
    assert fitted.slope == pytest.approx(slope, abs=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_platt_is_the_maximum_likelihood_of_statsmodels(seed):
    margin, default = sample(0.3, 0.8, size=1_000, seed=seed)
    wanted = Logit(default, np.column_stack([np.ones(margin.size), margin])).fit(disp=False).params
    fitted = platt(margin, default)
    assert (fitted.intercept, fitted.slope) == pytest.approx(tuple(wanted), abs=1e-3)


def test_the_mean_calibrated_pd_is_the_default_rate():
    margin, default = sample(0.6, 0.7, size=2_000)
    prob = platt(margin, default).prob_default(margin)
    assert prob.mean() == pytest.approx(default.mean(), abs=1e-4)


def test_none_is_neutral_whatever_the_sample():
    margin, default = sample(0.6, 0.7, size=50)
    fitted = fit_calibration(margin, default * 0, method="none", least_defaults=100)
    assert fitted == Calibration(intercept=0.0, slope=1.0)


@given(st.floats(-30, 30))
def test_the_neutral_calibration_gives_the_margin_s_own_pd(margin):
    wanted = 1 / (1 + np.exp(-margin))
    assert Calibration().prob_default(np.array([margin]))[0] == pytest.approx(wanted)


def outcomes(defaults: int, goods: int):
    default = np.array([1.0] * defaults + [0.0] * goods)
    return np.random.default_rng(1).normal(size=default.size), default


@pytest.mark.parametrize(("defaults", "goods"), [(50, 50), (50, 500), (500, 50)])
def test_exactly_enough_defaults_and_goods_are_enough(defaults, goods):
    assert isinstance(platt(*outcomes(defaults, goods), least_defaults=50), Calibration)


@pytest.mark.parametrize("method", ["platt", "beta", "isotonic"])
@pytest.mark.parametrize(("defaults", "goods"), [(49, 50), (50, 49), (0, 500), (49, 49)])
def test_one_default_or_good_too_few_is_a_data_error(defaults, goods, method):
    with pytest.raises(DataError, match=f"has {defaults} defaults and {goods} goods") as caught:
        fit_calibration(*outcomes(defaults, goods), method=method, least_defaults=50)
    assert "training.min_calibration_defaults asks for 50 of each" in caught.value.faults


def test_an_unknown_method_is_refused_with_its_near_name():
    with pytest.raises(DataError) as caught:
        fit_calibration(*outcomes(50, 50), method="isotone", least_defaults=5)
    assert "did you mean isotonic?" in caught.value.faults[0]


@pytest.mark.parametrize("method", ["platt", "beta", "isotonic"])
def test_a_margin_that_ranks_backwards_gives_everyone_the_default_rate(method):
    """No calibration may turn the order of applicants; the most likely one that does not is level."""
    margin, default = sample(0.0, -1.0, size=3_000)
    prob = fit_calibration(margin, default, method=method, least_defaults=5).prob_default(np.sort(margin))
    assert (np.diff(prob) >= 0).all()
    if method == "isotonic":
        assert prob.mean() == pytest.approx(default.mean(), abs=0.05)
    else:
        assert prob == pytest.approx(np.full(margin.size, default.mean()), abs=1e-5)


# Beta


def beta(margin, default):
    return fit_calibration(margin, default, method="beta", least_defaults=1)


def bent(intercept, safe, risky, size=4_000, seed=1):
    """Margins and defaults whose true log-odds are intercept + safe ln p - risky ln(1 - p)."""
    generator = np.random.default_rng(seed)
    margin = generator.normal(-0.5, 1.8, size)
    prob = Calibration(intercept, safe, risky).prob_default(margin)
    return margin, (generator.random(size) < prob).astype(float)


def both_logs(margin):
    """The columns that beta calibration is a logistic regression on: ln p and -ln(1 - p)."""
    prob = expit(margin)
    return np.column_stack([np.log(prob), -np.log1p(-prob)])


@pytest.mark.parametrize(("intercept", "safe", "risky"), [(0.0, 1.0, 1.0), (0.5, 0.6, 1.8), (-0.5, 1.7, 0.5)])
def test_known_slopes_of_both_ends_are_recovered(intercept, safe, risky):
    fitted = beta(*bent(intercept, safe, risky, size=60_000))
    found = (fitted.intercept, fitted.slope, fitted.slope_risky)
    assert found == pytest.approx((intercept, safe, risky), abs=0.12)


@pytest.mark.parametrize("seed", range(3))
def test_beta_is_the_maximum_likelihood_of_statsmodels(seed):
    margin, default = bent(0.3, 0.8, 1.4, seed=seed)
    wanted = Logit(default, np.column_stack([np.ones(margin.size), both_logs(margin)])).fit(disp=False).params
    fitted = beta(margin, default)
    assert (fitted.intercept, fitted.slope, fitted.slope_risky) == pytest.approx(tuple(wanted), abs=1e-4)


@pytest.mark.parametrize(("safe", "risky", "held"), [(-0.8, 1.5, "safe"), (1.5, -0.8, "risky")])
def test_a_slope_that_would_fall_is_held_at_0_and_the_other_is_fitted_without_it(safe, risky, held):
    generator = np.random.default_rng(5)
    margin = generator.normal(-0.5, 1.8, 4_000)
    terms = both_logs(margin)
    default = (generator.random(4_000) < expit(0.2 + safe * terms[:, 0] + risky * terms[:, 1])).astype(float)
    kept = 1 if held == "safe" else 0
    wanted = Logit(default, np.column_stack([np.ones(4_000), terms[:, kept]])).fit(disp=False).params
    fitted = beta(margin, default)
    slopes = (fitted.slope, fitted.slope_risky)
    assert slopes[1 - kept] == 0
    assert (fitted.intercept, slopes[kept]) == pytest.approx(tuple(wanted), abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_beta_fits_its_own_sample_at_least_as_well_as_platt(seed):
    margin, default = bent(0.3, 0.6, 1.6, size=500, seed=seed)
    losses = [log_loss(default, fit(margin, default).prob_default(margin)) for fit in (beta, platt)]
    assert losses[0] <= losses[1] + 1e-9


# Isotonic


def isotonic(margin, default):
    return fit_calibration(margin, default, method="isotonic", least_defaults=1)


@pytest.mark.parametrize("seed", range(3))
def test_knots_are_the_blocks_of_scikit_learn_at_their_mean_margin(seed):
    margin, default = sample(0.3, 1.0, size=2_000, seed=seed)
    theirs = IsotonicRegression().fit(margin, default).predict(margin)
    frame = pl.DataFrame({"rate": theirs, "margin": margin}).group_by("rate").mean().sort("rate")
    inside = frame.filter(pl.col("rate").is_between(1e-9, 1 - 1e-9))
    knots = np.array(isotonic(margin, default).knots)
    own = knots[np.isin(np.round(knots[:, 0], 9), np.round(inside["margin"], 9))]
    assert len(own) >= inside.height - 2  # a block beside a bounded end may be merged with it
    assert len(knots) - len(own) <= 2
    shown = inside.filter(pl.col("margin").round(9).is_in(np.round(own[:, 0], 9).tolist()))
    assert expit(own[:, 1]) == pytest.approx(shown["rate"].to_numpy(), abs=1e-9)


def test_end_blocks_of_one_class_are_bounded_and_the_knots_lie_in_the_middle_of_the_blocks():
    margin = np.array([-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
    default = np.array([0.0, 0, 0, 1, 0, 1, 1, 1])
    fitted = isotonic(margin, default)
    assert np.array(fitted.knots) == pytest.approx(
        np.array([[-3, logit(0.5 / 4)], [-0.5, logit(1 / 2)], [2, logit(3.5 / 4)]])
    )
    assert fitted.prob_default(np.array([-99.0, 99.0])) == pytest.approx([0.125, 0.875])


def test_a_bound_that_would_turn_the_order_merges_the_block_with_the_next():
    """One good alone at the safe end: (0 + 0.5) / (1 + 1) is above the next block's 1 of 10."""
    margin, default = np.arange(21.0), np.array([0.0] + [1] + [0] * 9 + [1] * 5 + [0] + [1] * 4)
    fitted = isotonic(margin, default)
    rates = expit(np.array(fitted.knots)[:, 1])
    assert rates[0] == pytest.approx((0.25 * 1 + 1) / 11)
    assert fitted.knots[0][0] == pytest.approx(5)
    assert (np.diff(rates) > 0).all()


def test_equal_margins_are_one_point():
    margin, default = np.repeat([0.0, 1.0, 2.0], 4), np.array([0, 0, 0, 1.0, 0, 1, 0, 1, 1, 1, 1, 0])
    knots = np.array(isotonic(margin, default).knots)
    assert knots == pytest.approx(np.array([[0, logit(0.25)], [1, 0.0], [2, logit(0.75)]]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-6, 6), st.booleans()), min_size=2, max_size=40), st.randoms())
def test_isotonic_rises_stays_inside_0_and_1_and_heeds_no_order_of_rows(rows, random):
    rows = [*rows, (0, True), (0, False)]
    fits = []
    for _ in range(2):
        margin, default = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
        fits.append(isotonic(margin, default))
        random.shuffle(rows)
    assert np.array(fits[0].knots) == pytest.approx(np.array(fits[1].knots))
    prob = fits[0].prob_default(np.linspace(-9, 9, 300))
    assert (np.diff(prob) >= -1e-12).all()
    assert 0.5 / (len(rows) + 1) - 1e-12 <= prob.min() <= prob.max() <= 1 - 0.5 / (len(rows) + 1) + 1e-12


def test_few_scores_tie_and_ranking_is_kept():
    margin, default = sample(0.2, 1.0, size=4_000)
    prob = isotonic(margin, default).prob_default(sample(0.2, 1.0, size=4_000, seed=9)[0])
    assert np.unique(prob).size > 0.95 * prob.size
    steps = IsotonicRegression(out_of_bounds="clip").fit(margin, default).predict(margin)
    assert np.unique(steps).size < 0.05 * prob.size


# Comparison

MEASURED = ["log_loss", "difference", "brier_score", "slope", "intercept"]


def compared(margin, default, **values):
    usual = {"folds": 4, "seed": 3, "least_defaults": 20, "level": 0.95}
    return compare_calibrations(margin, default, **(usual | values))


def row(table, name):
    return table.row(by_predicate=pl.col("calibration") == name, named=True)


def out_of_fold(margin, default, method, folds=4, seed=3):
    prob = np.full(margin.size, np.nan)
    for fitted, judged in StratifiedKFold(folds, shuffle=True, random_state=seed).split(margin, default):
        made = fit_calibration(margin[fitted], default[fitted], method=method, least_defaults=1)
        prob[judged] = made.prob_default(margin[judged])
    return prob


def test_every_method_is_judged_by_scikit_learn_s_losses_on_rows_that_did_not_fit_it():
    margin, default = sample(0.8, 0.7, size=1_500)
    table = compared(margin, default)
    ends = [f"{name}{end}" for name in MEASURED for end in ("_low", "_high")]
    others = ["calibration", "parameters", "log_loss_se", "difference_se", "chosen", "level", "method"]
    assert set(table.columns) == {*MEASURED, *ends, *others}
    assert table["calibration"].to_list() == list(METHODS) == ["none", "platt", "beta", "isotonic"]
    each = {name: out_of_fold(margin, default, name) for name in METHODS}
    losses = {name: -np.log(np.where(default == 1, prob, 1 - prob)) for name, prob in each.items()}
    best = min(losses, key=lambda name: losses[name].mean())
    for name, prob in each.items():
        found, gap = row(table, name), losses[name] - losses[best]
        assert found["log_loss"] == pytest.approx(log_loss(default, prob))
        assert found["brier_score"] == pytest.approx(brier_score_loss(default, prob))
        assert found["log_loss_se"] == pytest.approx(losses[name].std(ddof=1) / np.sqrt(1_500))
        assert found["difference"] == pytest.approx(gap.mean())
        if name != best:
            error = gap.std(ddof=1) / np.sqrt(1_500)
            ends = gap.mean() - 1.959964 * error, gap.mean() + 1.959964 * error
            assert (found["difference_low"], found["difference_high"]) == pytest.approx(ends, abs=1e-7)
            assert found["difference_se"] == pytest.approx(error)
    assert row(table, best)["difference"] == 0
    assert row(table, best)["difference_low"] is None


def test_slope_and_intercept_are_those_of_statsmodels_on_the_calibrated_log_odds():
    margin, default = sample(0.8, 0.7, size=1_500)
    found = row(compared(margin, default), "beta")
    log_odds = logit(out_of_fold(margin, default, "beta"))
    wanted = Logit(default, np.column_stack([np.ones(1_500), log_odds])).fit(disp=False)
    names = [f"{name}{end}" for name in ("intercept", "slope") for end in ("", "_low", "_high")]
    ends = [[value, *ends] for value, ends in zip(wanted.params, wanted.conf_int(), strict=True)]
    assert [found[name] for name in names] == pytest.approx([v for row in ends for v in row], abs=1e-3)


@pytest.mark.parametrize(
    ("drawn", "chosen"),
    [(sample(0.0, 1.0), "none"), (sample(0.8, 0.6), "platt"), (bent(0.2, 0.4, 2.5, 20_000), "beta")],
    ids=["right already", "a line off", "bent"],
)
def test_the_simplest_that_is_not_worse_is_chosen(drawn, chosen):
    table = compared(*drawn)
    assert table.filter("chosen")["calibration"].to_list() == [chosen]
    assert choose_calibration(table, "simplest") == chosen


def test_the_methods_asked_for_are_compared_and_counted():
    margin, default = sample(0.8, 0.7, size=1_500)
    table = compared(margin, default, methods=("isotonic", "platt"), rule="isotonic")
    assert table.select("calibration", "chosen").rows() == [("isotonic", True), ("platt", False)]
    assert table["parameters"].to_list() == [2 * len(isotonic(margin, default).knots), 2]


def test_the_seed_alone_decides():
    drawn = sample(0.8, 0.7, size=800)
    assert compared(*drawn).equals(compared(*drawn))
    assert not compared(*drawn, seed=4).equals(compared(*drawn))


def ruled(differences, errors):
    """A table for a rule; log losses follow the differences."""
    losses = [0.4 + gap for gap in differences]
    columns = {"calibration": list(METHODS)[::-1], "log_loss": losses[::-1]}
    gaps = {"difference": differences[::-1], "difference_se": errors[::-1]}
    return pl.DataFrame(columns | gaps, schema_overrides=dict.fromkeys(gaps, pl.Float64))


@pytest.mark.parametrize(
    ("gap", "chosen"), [(0.01, "none"), (np.nextafter(0.01, 1), "platt"), (0.5, "platt"), (0.0, "none")]
)
def test_exactly_one_standard_error_is_within_one(gap, chosen):
    table = ruled([gap, 0.0, 0.02, 0.03], [0.01, None, 0.1, 0.1])
    assert choose_calibration(table, "simplest") == chosen


def test_other_rules_take_the_best_or_the_one_named():
    table = ruled([0.01, 0.02, 0.0, 0.0], [0.1, 0.1, None, 0.1])
    assert choose_calibration(table, "best") == "beta"
    assert choose_calibration(table, "isotonic") == "isotonic"
    with pytest.raises(DataError, match="did you mean platt") as caught:
        choose_calibration(table, "plat")
    assert "simplest, best" in caught.value.faults[0]


@pytest.mark.parametrize(("defaults", "folds", "enough"), [(20, 4, True), (19, 4, False), (20, 21, False)])
def test_too_small_a_sample_is_refused_unless_none_is_the_rule(defaults, folds, enough):
    margin, default = outcomes(defaults, 200)
    if enough:
        assert compared(margin, default, folds=folds).height == 4
    else:
        with pytest.raises(DataError, match=f"{defaults} defaults and 200 goods; too small to calibrate"):
            compared(margin, default, folds=folds)
    table = compared(margin, default, folds=folds, rule="none")
    assert table.height == (4 if enough else 1)
    assert table.filter("chosen")["calibration"].to_list() == ["none"]


@pytest.mark.parametrize(
    ("margin", "default", "methods", "said"),
    [
        ([0.0, np.nan], [0, 1], ("none",), "margin is missing or infinite in 1 of 2 rows"),
        ([0.0, 1.0], [0, 2], ("none",), "default is missing or neither 0 nor 1 in 1 of 2 rows"),
        ([0.0, 1.0], [0, 1], ("plat",), "did you mean platt?"),
        ([0.0, 1.0], [0, 1], (), "no method is named"),
    ],
)
def test_what_cannot_be_compared_is_refused(margin, default, methods, said):
    with pytest.raises(DataError) as caught:
        compared(np.array(margin), np.array(default, dtype=float), methods=methods, rule="none")
    assert any(said in fault for fault in caught.value.faults)


def test_the_intervals_cover_the_truth():
    """A margin that is right: slope 1, intercept 0 and a log loss known from the true PDs."""
    draws, hits = 400, np.zeros(3)
    generator = np.random.default_rng(8)
    for _ in range(draws):
        margin = generator.normal(-1, 1.2, 600)
        default = (generator.random(600) < expit(margin)).astype(float)
        found = row(compared(margin, default, methods=("none",), rule="none"), "none")
        for place, (name, truth) in enumerate({"slope": 1, "intercept": 0, "log_loss": ENTROPY}.items()):
            hits[place] += found[f"{name}_low"] <= truth <= found[f"{name}_high"]
    assert (np.abs(hits / draws - 0.95) < 0.035).all(), hits / draws


def _entropy():
    """The expected log loss of right PDs whose log-odds are normal, by numerical integration."""
    margin = np.linspace(-12, 10, 20_001)
    density = np.exp(-(((margin + 1) / 1.2) ** 2) / 2) / (1.2 * np.sqrt(2 * np.pi))
    prob = expit(margin)
    return np.trapezoid(density * -(prob * np.log(prob) + (1 - prob) * np.log(1 - prob)), margin)


ENTROPY = _entropy()
