import json

import numpy as np
import polars as pl
import pytest
import xgboost
from sklearn.metrics import roc_auc_score

from workbench.errors import DataError
from workbench.scorer import model_matrix
from workbench.training.ablation import settings_for, source_ablation
from workbench.training.boosting import booster_settings
from workbench.training.folds import boosted_out_of_fold, make_folds

NAMES = ["bill_late", "bill_paid", "cash", "noise_a", "noise_b"]
GROUPS = {"utility": NAMES[:2], "mobile_money": ["cash"], "telecom_usage": NAMES[3:]}
SETTINGS = booster_settings([1, -1, -1, 0, 0], seed=3) | {"max_depth": 3, "learning_rate": 0.1, "nthread": 1}


def world(size=3_000, seed=1):
    """Bills tell the outcome of everyone, cash only of those without a file, and noise nothing."""
    draw = np.random.default_rng(seed)
    late, paid, cash, *noise = draw.normal(size=(5, size))
    invisible = draw.random(size) < 0.5
    risk = -1.5 + late - 0.5 * paid - np.where(invisible, 1.5, 0) * cash
    return pl.DataFrame(dict(zip(NAMES, (late, paid, cash, *noise), strict=True))).with_columns(
        applicant_id=np.arange(size),
        vintage=pl.Series([f"2025-{m + 1:02}" for m in draw.integers(0, 6, size)]),
        default=pl.Series((draw.random(size) < 1 / (1 + np.exp(-risk))).astype(int)),
        thickness=pl.Series(np.where(invisible, "credit_invisible", "thick")),
    )


FRAME = world()
FOLDS = make_folds(FRAME, folds=3, forward=False, seed=1)


def ablated(frame=FRAME, folds=FOLDS, **changes):
    options = {
        "names": NAMES,
        "groups": GROUPS,
        "settings": SETTINGS,
        "rounds": 30,
        "approval_rate": 0.6,
        "segment": "thickness",
        "level": 0.95,
        "replicates": 100,
        "seed": 1,
    }
    return source_ablation(frame, folds, **{**options, **changes})


TABLE = ablated()


def row(category, part="all", table=TABLE):
    return table.row(by_predicate=(pl.col("category") == category) & (pl.col("part") == part), named=True)


def test_a_row_for_every_category_and_part():
    parts = ["all", "credit_invisible", "thick"]
    assert TABLE["part"].to_list() == parts * 3
    assert TABLE["category"].to_list() == [name for name in GROUPS for _ in parts]
    assert row("utility")["features"] == 2
    assert row("utility")["applicants"] == 3_000
    halves = [row("utility", part) for part in parts[1:]]
    assert sum(half["applicants"] for half in halves) == 3_000
    assert sum(half["defaults"] for half in halves) == FRAME["default"].sum() == row("utility")["defaults"]


def test_what_tells_something_helps_and_noise_does_not():
    assert row("utility")["auc_gain_low"] > 0.03
    assert row("utility")["approvals_gain_low"] > 0
    noise = row("telecom_usage")
    assert noise["auc_gain_low"] < 0.002
    assert abs(noise["auc_gain"]) < 0.01
    assert noise["auc_alone_low"] < 0.5 < noise["auc_alone_high"]


def test_cash_helps_the_credit_invisible_only():
    assert row("mobile_money", "credit_invisible")["auc_gain_low"] > 0.1
    assert row("mobile_money", "credit_invisible")["approvals_gain_low"] > 0
    assert abs(row("mobile_money", "thick")["auc_gain"]) < 0.03


def test_the_aucs_are_those_of_models_trained_by_hand_on_the_same_folds():
    default = FRAME["default"].to_numpy().astype(float)

    def area(kept, monotone, part=slice(None)):
        settings = SETTINGS | {"monotone_constraints": monotone}
        prob = boosted_out_of_fold(model_matrix(FRAME, kept), default, FOLDS, settings=settings, rounds=30)
        return roc_auc_score(default[part], prob[part])

    thick = (FRAME["thickness"] == "thick").to_numpy()
    found = row("utility", "thick")
    assert found["auc_with"] == pytest.approx(area(NAMES, (1, -1, -1, 0, 0), thick))
    assert found["auc_without"] == pytest.approx(area(NAMES[2:], (-1, 0, 0), thick))
    assert found["auc_alone"] == pytest.approx(area(NAMES[:2], (1, -1), thick))
    assert found["auc_gain"] == pytest.approx(found["auc_with"] - found["auc_without"])


def test_without_the_lone_models_their_columns_are_empty_and_the_rest_is_the_same():
    plain = ablated(alone=False)
    empty = ["auc_alone", "auc_alone_low", "auc_alone_high"]
    assert plain.columns == TABLE.columns
    assert plain.select(pl.col(empty).is_null().all()).row(0) == (True, True, True)
    assert plain.drop(empty).equals(TABLE.drop(empty))


def test_a_category_that_holds_everything_leaves_a_model_that_tells_nothing():
    found = row("everything", table=ablated(groups={"everything": NAMES}, segment=None))
    assert found["auc_without"] == 0.5
    assert found["auc_gain"] == pytest.approx(found["auc_with"] - 0.5)
    assert found["approvals_without"] == 0
    assert found["auc_alone"] == found["auc_with"]


def test_without_a_segment_there_is_one_part():
    table = ablated(segment=None, alone=False)
    assert table["part"].to_list() == ["all"] * 3
    assert table["auc_gain"].to_list() == TABLE.filter(part="all")["auc_gain"].to_list()


def test_an_unknown_segment_value_and_a_part_of_one_class_are_told():
    good = pl.when(pl.col("default") == 0).then(pl.lit("good"))
    frame = FRAME.with_columns(thickness=pl.when(pl.arange(pl.len()) < 400).then(good))
    table = ablated(frame, groups={"utility": NAMES[:2]}, alone=False)
    assert table["part"].to_list() == ["all", "good", "not known"]
    lonely = row("utility", "good", table)
    assert lonely["auc_with"] is None
    assert lonely["auc_gain"] is None
    assert lonely["method"].startswith("undefined: one class only; ")
    assert lonely["defaults"] == 0
    assert lonely["risk"] == 0


def test_forward_in_time_only_judged_rows_count():
    folds = make_folds(FRAME, folds=3, forward=True, seed=1)
    table = ablated(folds=folds, alone=False)
    assert row("utility", table=table)["applicants"] == folds.judged.size < FRAME.height
    assert row("utility", table=table)["auc_gain_low"] > 0


def test_every_interval_holds_its_value_and_says_how():
    for name in ("auc_gain", "auc_alone", "approvals_gain"):
        known = TABLE.drop_nulls(f"{name}_low")
        assert known.height
        assert known.select((pl.col(f"{name}_low") <= pl.col(name)).all()).item()
    assert set(TABLE["method"]) == {"paired DeLong; percentile bootstrap, 100 replicates"}
    assert set(TABLE["level"]) == {0.95}


def test_the_same_seed_gives_the_same_table():
    assert ablated().equals(TABLE)


def test_every_fault_is_told_at_once():
    with pytest.raises(DataError, match="Data categories cannot be ablated") as caught:
        ablated(groups={"utility": [], "income": ["bill_lat"]}, segment="thicknes", approval_rate=1.0)
    assert caught.value.faults == (
        "utility has no features; leave it out",
        "income: bill_lat is not a feature of the model (did you mean bill_late?)",
        "there is no segment thicknes (did you mean thickness?)",
        "the approval rate is 1; it lies between 0 and 1",
    )
    with pytest.raises(DataError, match="there is no data category"):
        ablated(groups={})


# The constraints of the features that stay


def chosen(kept, **constraints):
    return settings_for({"seed": 1, **constraints}, kept, names=["a", "b", "c", "d"])


def test_directions_follow_their_features():
    assert chosen(["b", "d"], monotone_constraints=(1, -1, 0, 1))["monotone_constraints"] == (-1, 1)
    assert chosen(["d", "b"], monotone_constraints=(1, -1, 0, 1))["monotone_constraints"] == (1, -1)
    assert chosen(["a", "d"], monotone_constraints=(1,))["monotone_constraints"] == (1, 0)
    assert chosen(["a"]) == {"seed": 1}


@pytest.mark.parametrize(
    "given", ["[[0, 1], [2, 3]]", [[0, 1], [2, 3]], [["a", "b"], ["c", "d"]], ((0, 1), (2, 3))]
)
def test_interactions_follow_their_features_however_they_are_written(given):
    left = chosen(["b", "c", "d"], interaction_constraints=given)["interaction_constraints"]
    assert json.loads(left) == [[0], [1, 2]]


def test_a_set_without_features_goes_and_what_was_in_no_set_stays_alone():
    assert chosen(["c", "d"], interaction_constraints="[[0, 1]]")["interaction_constraints"] == "[]"
    assert together(["c", "d"], "[[0, 1]]") == together(["a", "c", "d"], "[[0, 1]]") == set()
    assert together(["a", "b", "d"], "[[0, 1]]") == {("a", "b")}
    assert together(["a", "b", "d"], "[[0, 2, 3], [1, 2]]") == {("a", "d")}


def together(kept, given):
    """Pairs of features that a booster with the constraints that stay puts on one path."""
    draw = np.random.default_rng(1)
    values = draw.normal(size=(1_500, len(kept)))
    default = (np.prod(values[:, :2], axis=1) + values.sum(axis=1) + values[:, 0] * values[:, -1] > 0) * 1.0
    settings = {"max_depth": 3, "nthread": 1, **chosen(kept, interaction_constraints=given)}
    booster = xgboost.train(settings, xgboost.QuantileDMatrix(values, default), num_boost_round=15)
    pairs = set()

    def walk(node, path):
        if "children" in node:
            path = path | {kept[int(node["split"][1:])]}
            pairs.update((a, b) for a in path for b in path if a < b)
            for child in node["children"]:
                walk(child, path)

    for tree in booster.get_dump(dump_format="json"):
        walk(json.loads(tree), set())
    return pairs


def test_other_settings_stay_and_the_original_is_left_alone():
    settings = {"max_depth": 4, "monotone_constraints": (1, 0, 0, 0)}
    assert settings_for(settings, ["b"], names=["a", "b", "c", "d"])["max_depth"] == 4
    assert settings == {"max_depth": 4, "monotone_constraints": (1, 0, 0, 0)}
