"""ALE and PDP: closed forms, scikit-learn, and intervals that cover."""

import numpy as np
import polars as pl
import pytest
import xgboost

from workbench.errors import DataError
from workbench.explanation.effects import accumulated_effects, partial_dependence, shown_directions
from workbench.scorer import Calibration, Scorer, ScoreScale

NAMES = ["a", "b", "c"]
OPTIONS = {"least": 10, "level": 0.95}


def table(size=1_500, seed=1, gaps=0.0):
    generator = np.random.default_rng(seed)
    a = generator.uniform(size=size)
    frame = pl.DataFrame({"a": a, "b": 0.8 * a + 0.2 * generator.uniform(size=size)})
    known = pl.Series(generator.random(size) >= gaps)
    return frame.with_columns(c=pl.when(known).then(pl.Series(generator.normal(size=size))))


def additive(frame):
    return (2 * pl.Series(frame["a"]) + np.sin(6 * frame["b"])).to_numpy()


def product(frame):
    return (frame["a"] * (1 + frame["b"])).to_numpy()


FRAME = table()


def known(curves, name):
    return curves.filter((pl.col("feature") == name) & ~pl.col("missing"))


def test_ale_of_an_additive_margin_is_its_own_curve():
    curves = accumulated_effects(additive, FRAME, shown=NAMES, **OPTIONS)
    for name, curve in (("a", lambda x: 2 * x), ("b", lambda x: np.sin(6 * x)), ("c", np.zeros_like)):
        rows = known(curves, name)
        exact = curve(rows["value"].to_numpy())
        assert np.diff(rows["effect"]) == pytest.approx(np.diff(exact), abs=1e-9)


def test_ale_is_centred_on_the_applicants():
    curves = accumulated_effects(product, FRAME, shown=["a", "b"], **OPTIONS)
    for name in ("a", "b"):
        effect, count = (known(curves, name)[column].to_numpy() for column in ("effect", "applicants"))
        assert ((effect[1:] + effect[:-1]) / 2 * count[1:]).sum() == pytest.approx(0, abs=1e-9)


def test_ale_does_not_credit_a_feature_for_its_companion():
    """a and b go together; the margin has only b. PDP of a is level as well, a plain mean by a is not."""

    def only_b(frame):
        return frame["b"].to_numpy()

    curves = accumulated_effects(only_b, FRAME, shown=["a"], **OPTIONS)
    assert curves["effect"].to_list() == pytest.approx([0.0] * curves.height)
    assert curves["low"].null_count() == curves.height
    assert np.corrcoef(FRAME["a"], only_b(FRAME))[0, 1] > 0.9


def test_ale_and_pdp_part_where_companions_matter():
    """margin = a x b with b near a: ALE of a rises as the square, PDP as a straight line."""

    def both(frame):
        return (frame["a"] * frame["b"]).to_numpy()

    ale = known(accumulated_effects(both, FRAME, shown=["a"], **OPTIONS), "a")
    pdp = known(partial_dependence(both, FRAME, shown=["a"], seed=1, **OPTIONS), "a")
    assert np.diff(ale["effect"], 2).mean() > 0.001
    steps = np.diff(pdp["effect"]) / np.diff(pdp["value"])
    assert steps == pytest.approx(steps[0])
    assert steps[0] == pytest.approx(FRAME["b"].mean())


def test_the_density_is_everyone_s():
    frame = table(gaps=0.1)
    for curves in (
        accumulated_effects(additive, frame, shown=NAMES, **OPTIONS),
        partial_dependence(additive, frame, shown=NAMES, seed=1, rows=100, **OPTIONS),
    ):
        for name in NAMES:
            rows = known(curves, name)
            assert rows["bin"].to_list() == list(range(21))
            assert rows["applicants"].sum() == frame[name].drop_nulls().len()
            assert rows["applicants"][0] is None
            assert rows["value"].is_sorted()


def test_the_ends_are_not_those_of_a_single_applicant():
    far = FRAME.with_columns(a=pl.when(pl.int_range(pl.len()) == 0).then(1e6).otherwise("a"))
    for least, most in ((1, 1e6), (2, 1.0), (10, 1.0)):
        curves = accumulated_effects(additive, far, shown=["a"], least=least, level=0.95)
        assert curves["value"].max() <= most
        assert (curves["value"].max() > 1.0) == (least == 1)
        assert curves["applicants"].sum() == FRAME.height


def test_a_feature_of_two_values_is_one_step_over_everyone():
    frame = FRAME.with_columns(a=(pl.col("a") > 0.7).cast(pl.Int64))
    curves = accumulated_effects(product, frame, shown=["a"], **OPTIONS)
    assert curves["value"].to_list() == [0.0, 1.0]
    assert curves["applicants"].to_list() == [None, frame.height]
    assert curves["effect"][1] - curves["effect"][0] == pytest.approx(1 + frame["b"].mean())


@pytest.mark.parametrize(("others", "shown"), [(9, False), (10, True)])
def test_a_value_of_few_has_no_effect(others, shown):
    frame = FRAME.with_columns(a=(pl.int_range(pl.len()) < others).cast(pl.Float64))
    curves = accumulated_effects(additive, frame, shown=["a"], **OPTIONS)
    assert curves["effect"].is_not_null().all() == shown
    if not shown:
        assert curves.height == 1
        assert curves["method"][0].startswith("undefined: too few applicants")


def test_a_constant_feature_has_its_own_value_and_no_step():
    frame = FRAME.with_columns(a=pl.lit(3.0))
    ale = accumulated_effects(product, frame, shown=["a"], **OPTIONS)
    assert ale.select("bin", "value", "effect", "applicants").rows() == [(0, 3.0, None, None)]
    pdp = partial_dependence(product, frame, shown=["a"], seed=1, **OPTIONS)
    assert pdp.select("bin", "value", "effect", "applicants").rows() == [(0, 3.0, 0.0, None)]


def test_a_feature_that_nobody_has_is_undefined():
    frame = FRAME.with_columns(c=pl.lit(None, dtype=pl.Float64))
    ale = accumulated_effects(additive, frame, shown=["c"], **OPTIONS)
    assert ale.select("value", "effect", "missing").rows() == [(None, None, False)]
    pdp = partial_dependence(additive, frame, shown=["c"], seed=1, **OPTIONS)
    assert pdp.select("value", "effect", "missing").rows() == [(None, None, False), (None, 0.0, True)]


def test_intervals_of_ale_cover_the_population_s_curve():
    """margin = a (1 + b), a uniform and b = 0.8 a + noise of mean 0.1: in a bin from l to u the mean step is
    (u - l)(1 + 0.8 x the middle + 0.1), whatever the ends are; those beyond count to the outermost bins.
    """
    hits, wide = [], []
    for seed in range(300):
        curves = accumulated_effects(product, table(400, seed=seed), shown=["a"], least=5, level=0.9, bins=8)
        ends = curves["value"].to_numpy()
        cuts = np.array([0, *ends[1:-1], 1])
        share, middle = np.diff(cuts), (cuts[1:] + cuts[:-1]) / 2
        steps = np.diff(ends) * (1.1 + 0.8 * middle)
        curve = np.array([0, *np.cumsum(steps)])
        truth = curve - (share * (curve[1:] + curve[:-1]) / 2).sum()
        hits.append((curves["low"].to_numpy() <= truth) & (truth <= curves["high"].to_numpy()))
        wide.append(curves["high"].to_numpy() - curves["low"].to_numpy())
    covered = np.mean(hits, axis=0)
    assert covered.min() > 0.84
    assert covered.max() < 0.96
    assert np.mean(wide) > 0.01


def test_intervals_of_pdp_cover():
    """PDP of a at x = x (1 + mean b) - mean a (1 + b): b = 0.5 and a b = 0.8 / 3 + 0.05 on average."""
    hits = []
    for seed in range(300):
        curves = partial_dependence(
            product, table(200, seed=seed), shown=["a"], least=5, level=0.9, bins=4, seed=seed
        )
        truth = curves["value"].to_numpy() * 1.5 - (0.5 + 0.8 / 3 + 0.05)
        hits.append((curves["low"].to_numpy() <= truth) & (truth <= curves["high"].to_numpy()))
    covered = np.mean(hits, axis=0)
    assert covered.min() > 0.84
    assert covered.max() < 0.96


# A booster


def train(frame):
    values = frame.select(NAMES).fill_null(0).to_numpy()
    default = np.random.default_rng(2).random(frame.height) < 1 / (
        1 + np.exp(1 - 4 * values[:, 0] * values[:, 1])
    )
    matrix = xgboost.DMatrix(frame.select(NAMES).fill_null(np.nan).to_numpy(), default)
    settings = {
        "objective": "binary:logistic",
        "max_depth": 3,
        "eta": 0.3,
        "seed": 1,
        "monotone_constraints": "(1,1,0)",
    }
    booster = xgboost.train(settings, matrix, num_boost_round=20)
    return Scorer(tuple(NAMES), booster, Calibration(), ScoreScale(600, 50, 20), 512.0)


GAPS = table(600, seed=4, gaps=0.2)
SCORER = train(GAPS)


def test_pdp_equals_scikit_learn_s():
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.inspection import partial_dependence as reference

    class Margins(RegressorMixin, BaseEstimator):
        """The scorer's margin as scikit-learn asks for it."""

        def fit(self, rows):
            self.fitted_ = len(rows)
            return self

        def predict(self, rows):
            return SCORER.margin(pl.DataFrame(np.asarray(rows), schema=NAMES).fill_nan(None))

    curves = partial_dependence(SCORER.margin, GAPS, shown=["a", "b"], rows=600, seed=1, **OPTIONS)
    rows = GAPS.select(NAMES).fill_null(np.nan).to_numpy()
    for at, name in enumerate(("a", "b")):
        values = known(curves, name)["value"].to_numpy()
        found = reference(
            Margins().fit(rows), rows, [at], kind="average", method="brute", custom_values={at: values}
        )
        ours = known(curves, name)["effect"].to_numpy() + SCORER.margin(GAPS).mean()
        assert ours == pytest.approx(found["average"][0], abs=1e-5)


def test_the_missing_have_their_own_row_in_pdp():
    curves = partial_dependence(SCORER.margin, GAPS, shown=["c"], rows=600, seed=1, **OPTIONS)
    row = curves.filter("missing").row(0, named=True)
    without = GAPS.with_columns(c=pl.lit(None, dtype=pl.Float64))
    assert row["effect"] == pytest.approx((SCORER.margin(without) - SCORER.margin(GAPS)).mean())
    assert row["applicants"] == GAPS["c"].null_count()
    assert (row["bin"], row["value"]) == (None, None)


@pytest.mark.parametrize(("missing", "told"), [(9, False), (10, True)])
def test_few_missing_are_not_told(missing, told):
    frame = FRAME.with_columns(a=pl.when(pl.int_range(pl.len()) >= missing).then("a"))
    curves = partial_dependence(lambda rows: rows["b"].to_numpy(), frame, shown=["a"], seed=1, **OPTIONS)
    assert curves["missing"].any() == told
    assert known(curves, "a")["applicants"].null_count() == (1 if told else 2)


def test_ale_of_a_monotone_booster_shows_no_step_against_it():
    curves = accumulated_effects(SCORER.margin, GAPS, shown=NAMES, **OPTIONS)
    found = shown_directions(curves, {"a": 1, "b": 1, "c": 0})
    assert found.select("feature", "expected", "shown").rows()[:2] == [("a", 1, 1), ("b", 1, 1)]
    assert found["against"].to_list() == [0, 0, 0]
    assert found["agrees"].to_list() == [True, True, None]
    assert found["share_against"].to_list() == [0.0, 0.0, None]
    against = shown_directions(curves, {"a": -1, "b": 1, "c": 0}).row(0, named=True)
    assert against["agrees"] is False
    assert against["largest_against"] == pytest.approx(np.diff(known(curves, "a")["effect"]).max())


def test_the_seed_decides_which_applicants_are_moved():
    first, again, other = (
        partial_dependence(product, FRAME, shown=["a"], rows=50, seed=seed, **OPTIONS) for seed in (1, 1, 2)
    )
    assert first.equals(again)
    assert not first.equals(other)


# Directions


def curve(*effects, name="a", missing=None):
    rows = {"feature": [name] * len(effects), "bin": range(len(effects)), "missing": [False] * len(effects)}
    frame = pl.DataFrame(rows | {"effect": pl.Series(effects, dtype=pl.Float64)})
    apart = {"feature": name, "bin": None, "missing": True, "effect": missing}
    return frame if missing is None else pl.concat([frame, pl.DataFrame(apart, schema=frame.schema)])


@pytest.mark.parametrize(
    ("effects", "expected", "shown", "against", "share", "largest"),
    [
        ((0.0, 1.0, 2.0), 1, 1, 0, 0.0, 0.0),
        ((0.0, 1.0, 2.0), -1, 1, 2, 1.0, 1.0),
        ((0.0, 1.0, 0.5, 0.5), 1, 0, 1, 1 / 3, 0.5),
        ((2.0, 1.0, 1.0), -1, -1, 0, 0.0, 0.0),
        ((1.0, 1.0), 1, None, 0, 0.0, 0.0),
        ((1.0,), 1, None, 0, None, 0.0),
        ((0.0, 1.0, 0.0), 0, 0, 0, None, 0.0),
        ((0.0, 1.0, 1.0 - 0.9e-5), 1, 1, 0, 0.0, 0.0),
        ((0.0, 1.0, 1.0 - 1.1e-5), 1, 0, 1, 0.5, 1.1e-5),
    ],
)
def test_directions_are_read_off_the_steps(effects, expected, shown, against, share, largest):
    row = shown_directions(curve(*effects), {"a": expected}).row(0, named=True)
    assert (row["shown"], row["against"], row["steps"]) == (shown, against, len(effects) - 1)
    assert row["share_against"] == pytest.approx(share)
    assert row["largest_against"] == pytest.approx(largest)
    assert str(row["largest_against"])[0] != "-"
    assert row["agrees"] == (None if share is None else against == 0)


def test_the_missing_have_no_place_in_the_order():
    row = shown_directions(curve(0.0, 1.0, missing=-5.0), {"a": 1}).row(0, named=True)
    assert (row["steps"], row["agrees"]) == (1, True)


def test_curves_are_judged_apart_and_in_their_order():
    both = pl.concat([curve(5.0, 6.0, name="z"), curve(3.0, 1.0, name="a")])
    found = shown_directions(both, {"a": 1, "z": 1})
    assert found.select("feature", "shown", "agrees").rows() == [("z", 1, True), ("a", -1, False)]


def test_curves_without_an_expected_direction_are_refused():
    with pytest.raises(DataError, match="a has no expected direction"):
        shown_directions(curve(0.0, 1.0), {})
    two = pl.concat([curve(0.0, 1.0).with_columns(curve=pl.lit(kind)) for kind in ("ale", "pdp")])
    with pytest.raises(DataError, match="2 kinds of curves; one at a time"):
        shown_directions(two, {"a": 1})


def test_everything_wrong_is_told_at_once():
    with pytest.raises(DataError) as error:
        partial_dependence(additive, FRAME.head(0), shown=["aa"], least=0, level=0.95, bins=1, rows=1, seed=1)
    assert error.value.faults == (
        "there are no applicants",
        "the table has no feature 'aa' (did you mean a?)",
        "1 bins asked for; at least 2 are needed",
        "least is 0; at least 1 is needed",
        "rows is 1; at least 2 are needed",
    )
    with pytest.raises(DataError, match="no feature is to be shown"):
        accumulated_effects(additive, FRAME, shown=[], **OPTIONS)
