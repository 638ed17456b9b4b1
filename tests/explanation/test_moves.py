import numpy as np
import polars as pl
import pytest
import xgboost

from workbench.explanation.moves import Move, feature_moves, kept_rules
from workbench.scorer import Calibration, Scorer, ScoreScale, model_matrix

NAMES = ("count", "share", "amount", "constant")


def table(size: int = 2_000) -> pl.DataFrame:
    generator = np.random.default_rng(1)
    return pl.DataFrame(
        {
            "count": generator.integers(0, 8, size).astype(float),
            "share": generator.random(size) / 2,
            "amount": np.round(generator.lognormal(9, 1, size)),
            "constant": np.ones(size),
        }
    )


FRAME = table()
SEEN = model_matrix(FRAME, NAMES)


def scorer() -> Scorer:
    count, share, amount, _ = SEEN.T
    default = count + 8 * share - np.log(amount) / 3 > 2 + np.random.default_rng(2).normal(size=len(SEEN))
    settings = {"objective": "binary:logistic", "max_depth": 3, "eta": 0.3, "seed": 1}
    booster = xgboost.train(settings, xgboost.DMatrix(SEEN, default), num_boost_round=10)
    return Scorer(NAMES, booster, Calibration(), ScoreScale(600, 50, 20), 500.0)


SCORER = scorer()


def moves(actionable: dict[str, int], seen: np.ndarray = SEEN) -> dict[str, Move]:
    return {NAMES[move.column]: move for move in feature_moves(SCORER, seen, actionable)}


FREE = moves(dict.fromkeys(NAMES, 0))


def thresholds(column: int) -> set[float]:
    """From the booster's own table of its trees."""
    trees = SCORER.booster.trees_to_dataframe()
    return set(trees[trees["Feature"] == f"f{column}"]["Split"])


def test_every_value_is_the_first_round_one_past_a_threshold():
    for name, unit in (("count", 1.0), ("share", 0.001), ("amount", 100.0)):
        move, cuts = FREE[name], thresholds(NAMES.index(name))
        wanted = {round(np.ceil(cut / unit) * unit, 6) for cut in cuts}
        assert {round(value, 6) for value in move.values[move.upward]} <= wanted
        below = {round((np.ceil(cut / unit) - 1) * unit, 6) for cut in cuts}
        assert {round(value, 6) for value in move.values[move.downward]} <= below
        assert len(move.values) > 3
        assert (np.diff(move.values) > 0).all()


def test_each_value_reaches_the_other_side_of_its_threshold():
    """The score is the same for every value in between, so none is nearer and as good."""
    move = FREE["share"]
    for threshold in sorted(thresholds(1))[1:-1]:
        assert move.values[move.upward & (move.values >= threshold)].min() - threshold < 0.001
        assert threshold - move.values[move.downward & (move.values < threshold)].max() <= 0.001


def test_values_stay_in_the_range_seen():
    narrow = moves(dict.fromkeys(NAMES, 0), SEEN[(SEEN[:, 0] >= 2) & (SEEN[:, 0] <= 5)])
    assert narrow["count"].values.min() == 2
    assert narrow["count"].values.max() == 5


def test_a_feature_on_which_no_tree_splits_cannot_move():
    assert set(FREE) == {"count", "share", "amount"}


def test_nor_can_one_that_nobody_in_development_has():
    empty = SEEN.copy()
    empty[:, 0] = np.nan
    assert "count" not in moves({"count": 0, "share": 0}, empty)


def test_only_actionable_features_move():
    assert set(moves({"share": 0})) == {"share"}


@pytest.mark.parametrize(("way", "least", "most"), [(1, 4, 6), (-1, 0, 2), (0, 0, 6)])
def test_options_lie_on_the_allowed_side(way, least, most):
    """No tree splits between 6 and 7, so nothing is gained beyond 6."""
    options = moves({"count": way})["count"].options(np.array([3.0]))[0]
    known = options[~np.isnan(options)]
    assert (known.min(), known.max()) == (least, most)
    assert 3 not in known


def test_at_the_end_of_the_way_there_is_no_option():
    rising = moves({"count": 1})["count"]
    assert np.isnan(rising.options(np.array([6.0, 9.0]))).all()
    assert not np.isnan(rising.options(np.array([5.0]))).all()


def test_a_missing_value_has_no_option():
    assert np.isnan(FREE["count"].options(np.array([np.nan]))).all()


def test_the_spread_is_the_interquartile_range_or_the_deviation():
    assert FREE["count"].spread == pytest.approx(np.subtract(*np.quantile(SEEN[:, 0], [0.75, 0.25])))
    rare = SEEN.copy()
    rare[:, 0] = np.where(np.arange(len(rare)) < 200, rare[:, 0], 0)
    assert moves({"count": 0}, rare)["count"].spread == pytest.approx(rare[:, 0].std())


def rules(columns: dict[str, np.ndarray], units: list[str | None], moving: int = 0):
    seen = np.column_stack(list(columns.values()))
    move = Move(moving, np.array([1.0]), np.array([True]), np.array([True]), 1.0)
    return kept_rules(seen, units, [move])


LOW = np.random.default_rng(3).integers(0, 5, 400).astype(float)
HIGH = LOW + np.random.default_rng(4).integers(0, 3, 400)
OTHER = np.random.default_rng(5).integers(0, 5, 400).astype(float)


def test_an_order_is_a_rule_where_all_keep_it_in_one_unit():
    assert rules({"low": LOW, "high": HIGH}, ["days", "days"]).orders == ((0, 1),)
    assert rules({"high": HIGH, "low": LOW}, ["days", "days"]).orders == ((1, 0),)
    assert rules({"low": LOW, "high": HIGH}, ["days", "count"]).orders == ()
    assert rules({"low": LOW, "high": HIGH}, [None, None]).orders == ()
    assert rules({"low": LOW, "high": np.append(HIGH[:-1], -1.0)}, ["days", "days"]).orders == ()


def test_there_is_no_rule_between_features_that_do_not_move():
    found = rules({"low": LOW, "high": HIGH, "other": OTHER}, ["days"] * 3, moving=2)
    assert found.orders == ()
    assert (0, 1) not in found.unseen


@pytest.mark.parametrize(("known", "orders"), [(19, ()), (20, ((0, 1),))])
def test_an_order_needs_twenty_who_have_both(known, orders):
    half = np.where(np.arange(400) < known, HIGH, np.nan)
    assert rules({"low": LOW, "high": half}, ["days", "days"]).orders == orders


def test_independent_features_have_no_rules():
    found = rules({"low": LOW, "other": OTHER}, ["days", "days"])
    assert found.orders == ()
    assert found.unseen == {}
    assert found.broken(np.array([[0.0, 4.0], [9.0, np.nan]])).shape == (2, 0)


def test_a_cell_that_chance_would_fill_and_nobody_is_in_is_a_rule():
    since = np.where(LOW > 0, OTHER, 6.0)
    found = rules({"late": LOW, "since": since}, ["count", "days"])
    assert set(found.unseen) == {(0, 1)}
    rows = np.array([[0.0, 6.0], [0.0, 2.0], [3.0, 6.0], [3.0, 2.0]])
    assert found.broken(rows)[:, 0].tolist() == [False, True, True, False]


@pytest.mark.parametrize(("size", "rule"), [(19, False), (20, True)])
def test_a_cell_in_which_chance_would_put_fewer_than_five_is_no_rule(size, rule):
    """Two features, each 1 for `size` of 80 applicants but never both: size^2 / 80 would have both."""
    one = (np.arange(80) < size).astype(float)
    other = (np.arange(80) >= 80 - size).astype(float)
    assert (size**2 / 80 >= 5) == rule
    assert bool(rules({"one": one, "other": other}, ["a", "b"]).unseen) == rule


def test_a_broken_order_is_told_for_each_row():
    found = rules({"low": LOW, "high": HIGH}, ["days", "days"])
    rows = np.array([[2.0, 1.0], [2.0, 2.0], [np.nan, 1.0]])
    assert found.broken(rows)[:, 0].tolist() == [True, False, False]
