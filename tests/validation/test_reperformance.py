"""What was found is computed once more by other libraries, and a difference shows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.validation import calibration, discrimination, precision
from workbench.validation.reperformance import REPERFORMED, reperformance_table


def sample(seed, size=400, decimals=15):
    rng = np.random.default_rng(seed)
    prob = np.round(rng.beta(1, 4, size), decimals)
    bad = (rng.random(size) < prob).astype(int)
    bad[:2] = (0, 1)
    return bad, prob


def ours(bad, prob):
    drawing = {"replicates": 20, "seed": 1}
    return {
        "auc": discrimination.auc(bad, prob).value,
        "average_precision": precision.average_precision(bad, prob, **drawing).value,
        "ks": discrimination.ks(bad, prob, **drawing).value,
        "brier_score": calibration.brier_score(bad, prob).value,
        "log_loss": calibration.log_loss(bad, prob).value,
        "slope": calibration.calibration_line(bad, prob).slope.value,
    }


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), decimals=st.sampled_from([2, 15]))
def test_other_libraries_find_the_same(seed, decimals):
    bad, prob = sample(seed, decimals=decimals)
    prob = np.clip(prob, 0.001, 0.999)
    table = reperformance_table(bad, prob, found=ours(bad, prob))
    assert table.schema == REPERFORMED
    assert table["measure"].to_list() == list(ours(bad, prob))
    assert table["difference"].abs().max() < 1e-7


def test_a_wrong_number_shows_by_how_much_it_is_wrong():
    bad, prob = sample(3)
    right = discrimination.auc(bad, prob).value
    table = reperformance_table(bad, prob, found={"auc": right - 0.02, "ks": 0.9})
    assert table["difference"][0] == pytest.approx(0.02)
    assert table["library"].to_list() == ["scikit-learn", "SciPy"]
    assert abs(table["difference"][1]) > 0.1


def test_what_is_undefined_has_no_difference():
    bad = [0, 1, 0, 1]
    table = reperformance_table(bad, [0.5] * 4, found={"slope": float("nan")})
    assert table["difference"].to_list() == [None]


def test_one_class_and_unknown_measures_are_refused():
    with pytest.raises(DataError):
        reperformance_table([0, 0], [0.1, 0.2], found={"auc": 0.5})
    with pytest.raises(KeyError):
        reperformance_table([0, 1], [0.1, 0.2], found={"accuracy": 0.5})
