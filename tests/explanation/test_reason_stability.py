import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from workbench.errors import DataError
from workbench.explanation.reason_stability import noisy_features, stability_table, true_points, truth_table
from workbench.world.truth import formula

POINTS = np.array([[5.0, 3.0, 1.0, -2.0], [1.0, 2.0, 3.0, 4.0], [0.0, -1.0, 6.0, 0.5]])
SWAPPED = POINTS[:, [1, 0, 2, 3]]


def values(table: pl.DataFrame, kind: str | None = None) -> dict[str, float]:
    kept = table if kind is None else table.filter(pl.col("kind") == kind)
    return dict(kept.select("measure", "value").iter_rows())


def stability(points=POINTS, others=None, shown=2, level=0.95) -> pl.DataFrame:
    return stability_table(points, others or {"seed": [points]}, reasons_shown=shown, level=level)


def test_the_same_model_gives_the_same_reasons():
    table = stability(others={"seed": [POINTS, POINTS]})
    assert values(table) == {"same_first": 1, "overlap": 1, "same_reasons": 1}
    assert table["models"].to_list() == [2, 2, 2]
    assert table["applicants"].to_list() == [3, 3, 3]
    assert table["low"].null_count() == 3
    assert all("no variation" in method for method in table["method"])


def test_what_differs_is_counted_by_kind():
    """Swapped: the first of three applicants changes places, but with two shown keeps both families."""
    table = stability(others={"seed": [POINTS], "resample": [SWAPPED]})
    assert table["kind"].to_list() == ["seed"] * 3 + ["resample"] * 3
    assert values(table, "resample") == pytest.approx({"same_first": 2 / 3, "overlap": 1, "same_reasons": 1})


def test_overlap_is_over_the_longer_list():
    other = np.array([[-1.0, 3.0, -1.0, -2.0], [4.0, 3.0, -1.0, -1.0], [0.0, -1.0, 6.0, 0.5]])
    table = stability(others={"seed": [other]})
    assert values(table)["overlap"] == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert values(table)["same_reasons"] == pytest.approx(1 / 3)


def test_families_that_cost_nothing_are_not_named():
    nothing = -np.ones((2, 3))
    assert values(stability(nothing, {"seed": [nothing]})) == {
        "same_first": 1,
        "overlap": 1,
        "same_reasons": 1,
    }
    some = np.array([[1.0, -1, -1], [-1, -1, -1]])
    found = values(stability(nothing, {"seed": [some]}))
    assert found == pytest.approx({"same_first": 0.5, "overlap": 0.5, "same_reasons": 0.5})


@given(st.integers(1, 5), st.integers(0, 10_000))
def test_scaling_a_model_does_not_change_its_reasons(shown, seed):
    generator = np.random.default_rng(seed)
    points, other = generator.normal(size=(2, 8, 4))
    one, two = (values(stability(points, {"seed": [model]}, shown)) for model in (other, 3 * other))
    assert one == two


def test_intervals_cover_the_share_of_all_models_and_applicants():
    """First reasons agree with a chance that varies with the model and with the applicant."""
    generator, hits, rounds = np.random.default_rng(8), {"same_first": 0, "overlap": 0}, 300
    truth = 0.75
    for _ in range(rounds):
        chance = np.clip(
            truth + generator.uniform(-0.1, 0.1, (8, 1)) + generator.uniform(-0.15, 0.15, (1, 120)), 0, 1
        )
        agree = generator.random(chance.shape) < chance
        points = np.tile([2.0, 1.0], (120, 1))
        models = [np.where(row[:, None], points, points[:, ::-1]) for row in agree]
        table = stability(points, {"seed": models}, shown=1)
        for row in table.filter(pl.col("measure").is_in(list(hits))).iter_rows(named=True):
            hits[row["measure"]] += row["low"] <= truth <= row["high"]
    assert all(0.92 <= count / rounds <= 1 for count in hits.values()), hits


def test_faults_of_points_are_told_at_once():
    broken = POINTS.copy()
    broken[0, 0] = np.nan
    with pytest.raises(DataError, match="cannot be compared") as caught:
        stability(others={"seed": [POINTS[:2]], "resample": [broken], "noise": []}, shown=0)
    assert caught.value.faults == (
        "there are no models of the kind 'noise'",
        "0 reasons are shown; at least 1 is needed",
        "seed: points of the shape (2, 4), not (3, 4)",
        "resample: 1 points are missing or infinite",
    )
    with pytest.raises(DataError) as caught:
        stability_table(POINTS[:0], {}, reasons_shown=1, level=0.95)
    assert caught.value.faults == ("there are no applicants", "there are no kinds of models")


def frame(size: int = 4_000) -> pl.DataFrame:
    generator = np.random.default_rng(1)
    columns = {
        "count": generator.integers(0, 9, size).astype(float),
        "share": generator.random(size),
        "rare": (np.arange(size) < size // 10).astype(float),
        "empty": [None] * size,
    }
    return pl.DataFrame(
        {"applicant_id": range(size), **columns}, schema_overrides={"empty": pl.Float64}
    ).with_columns(share=pl.when(pl.col("applicant_id") % 7 > 0).then("share"))


def test_noise_is_small_seeded_and_keeps_what_a_value_is():
    own, names = frame(), ["count", "share", "rare", "empty"]
    found = noisy_features(own, names, noise=0.1, seed=4)
    assert found.equals(noisy_features(own, names, noise=0.1, seed=4))
    assert not found.equals(noisy_features(own, names, noise=0.1, seed=5))
    assert found["applicant_id"].equals(own["applicant_id"])
    assert found["share"].is_null().equals(own["share"].is_null())
    assert found["empty"].null_count() == own.height
    for name in ("count", "rare"):
        assert (found[name] == found[name].round()).all()
    for name in ("count", "share", "rare"):
        assert (found[name].min(), found[name].max()) >= (own[name].min(), 0)
        assert found[name].max() <= own[name].max()
    change = (found["share"] - own["share"]).drop_nulls()
    assert change.std() == pytest.approx(0.1 * 0.5, rel=0.1)
    assert noisy_features(own, names, noise=0.0, seed=4).equals(own)


TERMS = formula()["terms"]
CODES = ["balance", "bureau record", "payment regularity"]
FAMILIES = {
    "electricity_late_share_365": "payment regularity",
    "mobile_money_balance_mean_365": "balance",
    "bureau_months_worst_delinquency": "bureau record",
}


def people(*rows: tuple[float | None, ...]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(FAMILIES, pl.Float64), orient="row")


def test_true_points_are_the_terms_less_the_background_s_mean():
    declined = people((0.55, np.exp(4.80 - 0.85), None), (0.19, 0.0, 2.7))
    background = people((0.19, np.exp(4.80), 0.70), (0.19, np.exp(4.80), 1.70))
    found = true_points(declined, background, TERMS, families=FAMILIES, codes=CODES)
    assert found[0] == pytest.approx([0.8, -0.15, 0.8 * 0.36 / 0.18])
    assert found[1] == pytest.approx([0.8 * 4.80 / 0.85, 0.30 * 2 - 0.15, 0.0])


def test_terms_that_the_study_does_not_have_are_left_out():
    declined = people((0.55, None, None))
    found = true_points(
        declined, declined, TERMS, families={"bureau_months_worst_delinquency": "x"}, codes=["x"]
    )
    assert found.tolist() == [[0.0]]


def test_where_no_term_is_known_there_is_no_truth():
    declined = people((0.55, None, None))
    for terms, families in (([], FAMILIES), (TERMS, {"other": "x"})):
        assert true_points(declined, declined, terms, families=families, codes=CODES) is None
    table = truth_table(POINTS, None, reasons_shown=2, level=0.95)
    assert table.height == 0
    assert table.columns == truth_table(POINTS, POINTS, reasons_shown=2, level=0.95).columns


def truth(points, true, shown=2) -> dict[str, float]:
    table = truth_table(np.array(points, float), np.array(true, float), reasons_shown=shown, level=0.95)
    return values(table)


def test_reasons_that_are_the_truth():
    found = truth(POINTS, POINTS)
    assert found["first_is_true"] == 1
    assert found["named_are_true"] == 1
    assert found["rank_correlation"] == 1
    assert found["first_gain"] == pytest.approx(0.5)
    assert found["named_gain"] == pytest.approx(1 - (3 / 4 + 4 / 4 + 2 / 4) / 3)


def test_reasons_against_the_truth():
    points = np.array([[5.0, 3.0, 1.0], [5.0, 3.0, 1.0]])
    true = np.array([[-1.0, 1.0, 0.5], [2.0, -1.0, -1.5]])
    found = truth(points, true, shown=1)
    assert found["first_is_true"] == 0.5
    assert found["first_gain"] == pytest.approx(0.5 - 1 / 3)
    assert found["named_are_true"] == 0.5
    assert found["rank_correlation"] == pytest.approx(
        np.mean([spearmanr(mine, real).statistic for mine, real in zip(points, true, strict=True)])
    )


def test_random_reasons_gain_nothing():
    generator = np.random.default_rng(5)
    points, true = generator.normal(size=(2, 2_000, 6))
    table = truth_table(points, true, reasons_shown=3, level=0.999)
    for name in ("first_gain", "named_gain", "rank_correlation"):
        row = table.row(by_predicate=pl.col("measure") == name, named=True)
        assert row["low"] < 0 < row["high"], name


def test_applicants_with_nothing_to_compare_are_left_out():
    table = truth_table(
        np.array([[1.0, 2], [-1, 0], [1, 2]]),
        np.array([[1.0, 2], [1, 2], [-1, 0]]),
        reasons_shown=1,
        level=0.95,
    )
    assert table["applicants"].to_list() == [1] * 5
    with pytest.raises(DataError) as caught:
        truth([[-1, 0]], [[1, 2]])
    assert caught.value.faults == ("nobody has both",)


def test_shapes_that_differ_are_refused():
    with pytest.raises(DataError, match="against the truth") as caught:
        truth(POINTS, POINTS[:, :2])
    assert caught.value.faults == ("true: points of the shape (3, 2), not (3, 4)",)
