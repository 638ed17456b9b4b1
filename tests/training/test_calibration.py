import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.api import Logit

from workbench.errors import DataError
from workbench.scorer import Calibration
from workbench.training.calibration import fit_calibration


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


@pytest.mark.parametrize(("defaults", "goods"), [(49, 50), (50, 49), (0, 500), (49, 49)])
def test_one_default_or_good_too_few_is_a_data_error(defaults, goods):
    with pytest.raises(DataError, match=f"has {defaults} defaults and {goods} goods") as caught:
        platt(*outcomes(defaults, goods), least_defaults=50)
    assert "training.min_calibration_defaults asks for 50 of each" in caught.value.faults
