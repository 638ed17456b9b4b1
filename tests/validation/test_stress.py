import numpy as np
import polars as pl
import pytest
from statsmodels.stats.weightstats import DescrStatsW

from workbench.errors import DataError
from workbench.validation.robustness import logistic
from workbench.validation.stress import stress

NAMES = ["income", "late"]
ECONOMICS = {"loss_given_default": 0.5, "amount": 1000.0, "currency": "TWD", "income": 0.1}
SETTINGS = {"names": NAMES, "economics": ECONOMICS, "cutoff": 0.2}


def margin(features):
    income = features["income"].cast(pl.Float64).fill_null(0.0).to_numpy()
    return -2.0 - income + 0.6 * features["late"].cast(pl.Float64).to_numpy()


def sample(size=2000, seed=1):
    generator = np.random.default_rng(seed)
    known = pl.Series(generator.random(size) > 0.1)
    frame = pl.DataFrame({"income": generator.normal(size=size), "late": generator.poisson(1.0, size)})
    return frame.with_columns(income=pl.when(known).then("income"))


FEATURES = sample()


def rows_of(scenarios, **options):
    table = stress(margin, FEATURES, scenarios=scenarios, **SETTINGS | options)
    return {(row["scenario"], row["measure"]): row for row in table.iter_rows(named=True)}


def test_a_downturn_by_hand():
    rows = rows_of({"downturn": {"late": {"plus": 1.0}, "income": {"times": 2.0, "plus": -0.5}}})
    before = margin(FEATURES)
    after = margin(FEATURES.with_columns(pl.col("late") + 1.0, pl.col("income") * 2.0 - 0.5))
    old, new = logistic(before), logistic(after)
    approved = old <= 0.2
    mean = rows["downturn", "mean_pd"]
    assert (mean["before"], mean["after"]) == pytest.approx((old.mean(), new.mean()))
    assert (mean["low"], mean["high"]) == pytest.approx(DescrStatsW(new - old).zconfint_mean())
    rate = rows["downturn", "approval_rate"]
    assert rate["value"] == pytest.approx((new <= 0.2).mean() - approved.mean())
    assert rate["low"] < rate["value"] < rate["high"] < 0
    loss = rows["downturn", "expected_loss"]
    assert loss["unit"] == "TWD per loan"
    assert loss["before"] == pytest.approx(500 * old[approved].mean())
    assert loss["after"] == pytest.approx(500 * new[approved].mean())
    assert loss["value"] == pytest.approx(loss["after"] - loss["before"])


def test_a_stress_that_changes_nothing_changes_nothing():
    rows = rows_of({"calm": {"late": {"times": 1.0, "plus": 0.0}, "income": {}}})
    assert [row["value"] for row in rows.values()] == pytest.approx([0, 0, 0])
    assert rows["calm", "mean_pd"]["low"] is None
    assert {row["outside"] for row in rows.values()} == {0.0}


def test_times_comes_before_plus_and_missing_stays_missing():
    seen = []

    def predict(features):
        seen.append(features)
        return margin(features)

    scenarios = {"a": {"income": {"times": 3.0, "plus": 2.0}}}
    stress(predict, FEATURES, scenarios=scenarios, **SETTINGS)
    before, after = (frame["income"] for frame in seen)
    assert after.drop_nulls().to_list() == pytest.approx((before.drop_nulls() * 3 + 2).to_list())
    assert after.is_null().equals(before.is_null())


def test_applicants_taken_beyond_the_range_are_counted():
    beyond = float((FEATURES["late"] + 2 > FEATURES["late"].max()).mean())
    rows = rows_of({"a": {"late": {"plus": 2.0}}})
    assert rows["a", "mean_pd"]["outside"] == pytest.approx(beyond)
    assert beyond > 0


def test_nobody_approved_has_no_expected_loss():
    row = rows_of({"a": {"late": {"plus": 1.0}}}, cutoff=0.0)["a", "expected_loss"]
    assert (row["before"], row["value"], row["low"]) == (None, None, None)


def test_scenarios_share_one_base():
    calls = []

    def predict(features):
        calls.append(1)
        return margin(features)

    table = stress(
        predict, FEATURES, scenarios={"a": {"late": {"plus": 1.0}}, "b": {"late": {"plus": 2.0}}}, **SETTINGS
    )
    assert len(calls) == 3
    assert table["scenario"].to_list() == ["a"] * 3 + ["b"] * 3
    changes = table.filter(measure="mean_pd")["value"].to_list()
    assert changes[0] < changes[1]


def test_faults_come_together():
    scenarios = {"a": {"lat": {"plus": 1.0}}, "b": {}, "c": {"late": {"power": 2.0}}}
    with pytest.raises(DataError) as caught:
        stress(margin, FEATURES, scenarios=scenarios, **SETTINGS)
    text = str(caught.value)
    assert "a: lat is not a feature of the model (did you mean late?)" in text
    assert "b changes nothing" in text
    assert "c: late has power; times and plus are known" in text
    with pytest.raises(DataError, match="no rows"):
        stress(margin, FEATURES.clear(), scenarios={}, **SETTINGS)
