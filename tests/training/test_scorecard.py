import numpy as np
import polars as pl
import pytest

from workbench.errors import DataError
from workbench.scorer import ScoreScale
from workbench.training.scorecard import fit_scorecard

SCALE = ScoreScale(600, 50, 20)
SETTINGS = {"max_bins": 5, "min_information_value": 0.02, "scale": SCALE, "seed": 1}
NAMES, MONOTONE = ["late", "paid", "noise"], [1, -1, 0]


def sample(size: int = 2_000) -> tuple[pl.DataFrame, np.ndarray]:
    """Whole numbers, so that edges lie at halves: late (riskier), paid (safer, gaps) and pure noise."""
    generator = np.random.default_rng(1)
    late, paid = generator.poisson(1, size).clip(0, 4), generator.integers(0, 30, size)
    log_odds = -1 + 0.7 * late - 0.08 * paid
    gap = pl.Series(generator.random(size) < 0.1)
    frame = pl.DataFrame(
        {
            "late": late.astype(float),
            "paid": pl.select(pl.when(~gap).then(pl.Series(paid.astype(float)))).to_series(),
            "noise": generator.integers(0, 10, size).astype(float),
        }
    )
    return frame, (generator.random(size) < 1 / (1 + np.exp(-log_odds))).astype(float)


FEATURES, DEFAULT = sample()


def fit(features: pl.DataFrame = FEATURES, names=NAMES, monotone=MONOTONE, **changes):
    return fit_scorecard(features, DEFAULT, names=names, monotone=monotone, **SETTINGS | changes)


CARD = fit()


def belongs(attribute: str, value: float | None) -> bool:
    """Whether a value lies in an attribute: 'below b', 'a to below b', 'a and above' or 'Missing'."""
    if value is None or attribute == "Missing":
        return value is None and attribute == "Missing"
    low = "-inf" if attribute.startswith("below ") else attribute.split()[0]
    high = "inf" if attribute.endswith(" and above") else attribute.split()[-1]
    return float(low) <= value < float(high)


def rows_of(characteristic: str) -> list[dict]:
    return CARD.points.filter(pl.col("characteristic") == characteristic).to_dicts()


def test_everybody_has_exactly_one_attribute_of_each_characteristic():
    for name in CARD.kept:
        for value in FEATURES[name].unique():
            assert [belongs(row["attribute"], value) for row in rows_of(name)].count(True) == 1


def test_points_add_up_to_the_score_of_the_pd():
    total = np.zeros(FEATURES.height)
    for name in CARD.kept:
        rows = rows_of(name)
        total += [next(r["points"] for r in rows if belongs(r["attribute"], v)) for v in FEATURES[name]]
    assert total == pytest.approx(SCALE.score(CARD.prob_default(FEATURES)), abs=1e-6)


def test_points_follow_the_scale_they_are_given():
    other = fit(scale=ScoreScale(300, 10, 40))
    assert other.prob_default(FEATURES) == pytest.approx(CARD.prob_default(FEATURES))
    spread = CARD.points.group_by("characteristic").agg(pl.col("points").max() - pl.col("points").min())
    doubled = other.points.group_by("characteristic").agg(pl.col("points").max() - pl.col("points").min())
    assert doubled.sort("characteristic")["points"].to_list() == pytest.approx(
        (2 * spread.sort("characteristic")["points"]).to_list()
    )


def test_applicants_and_default_rates_are_counts():
    for row in CARD.points.iter_rows(named=True):
        inside = np.array([belongs(row["attribute"], value) for value in FEATURES[row["characteristic"]]])
        assert row["applicants"] == inside.sum() > 0
        assert row["default_rate"] == pytest.approx(DEFAULT[inside].mean())


def test_weight_of_evidence_is_ln_of_goods_share_over_bads_share():
    goods, bads = (DEFAULT == 0).sum(), (DEFAULT == 1).sum()
    for row in CARD.points.iter_rows(named=True):
        bad = row["applicants"] * row["default_rate"]
        wanted = np.log(((row["applicants"] - bad) / goods) / (bad / bads))
        assert row["weight_of_evidence"] == pytest.approx(wanted, abs=1e-9)


def test_a_safer_attribute_has_more_points():
    assert (CARD.points["coefficient"] < 0).all()
    for name in CARD.kept:
        table = CARD.points.filter(pl.col("characteristic") == name).sort("weight_of_evidence")
        assert table["points"].is_sorted()
        assert table["default_rate"].is_sorted(descending=True)


def test_attributes_hold_the_direction():
    late, paid = (
        [row["default_rate"] for row in rows_of(name) if row["attribute"] != "Missing"]
        for name in ("late", "paid")
    )
    assert late == sorted(late)
    assert paid == sorted(paid, reverse=True)


def test_missing_values_are_an_attribute_of_their_own():
    (row,) = [row for row in rows_of("paid") if row["attribute"] == "Missing"]
    assert row["applicants"] == FEATURES["paid"].null_count()
    assert not [row for row in rows_of("late") if row["attribute"] == "Missing"]


def test_a_weak_characteristic_is_left_out_with_its_reason():
    assert CARD.kept == ("late", "paid")
    assert CARD.left_out.rows() == [("noise", "information value below the line")]
    assert set(CARD.points["characteristic"]) == {"late", "paid"}


def test_the_pd_reads_only_the_kept_characteristics():
    without = FEATURES.drop("noise").reverse().select("paid", "late")
    assert CARD.prob_default(without) == pytest.approx(CARD.prob_default(FEATURES)[::-1])


def test_at_most_as_many_bins_as_asked_for():
    card = fit(max_bins=2)
    known = card.points.filter(pl.col("attribute") != "Missing")
    assert known.group_by("characteristic").len()["len"].max() <= 2


def test_a_coefficient_of_the_wrong_sign_is_left_out():
    """Alone, total rises with the PD; beside late it only tells of calm, which makes the applicant safer."""
    generator = np.random.default_rng(3)
    late, calm = generator.poisson(2, 2_000).astype(float), generator.integers(0, 4, 2_000).astype(float)
    default = (generator.random(2_000) < 1 / (1 + np.exp(2 - 1.2 * late + 0.5 * calm))).astype(float)
    frame = pl.DataFrame({"late": late, "total": late + calm})
    card = fit_scorecard(frame, default, names=["late", "total"], monotone=[1, 1], **SETTINGS)
    assert card.kept == ("late",)
    assert card.left_out.rows() == [("total", "coefficient of the wrong sign")]
    alone = fit_scorecard(frame, default, names=["total"], monotone=[1], **SETTINGS)
    assert alone.kept == ("total",)
    assert (alone.points["coefficient"] < 0).all()


def test_the_line_of_the_information_value_has_two_sides():
    values = fit(names=["late"], monotone=[1], min_information_value=0.0).points
    goods, bads = (DEFAULT == 0).sum(), (DEFAULT == 1).sum()
    shares = [
        (
            row["applicants"] * (1 - row["default_rate"]) / goods,
            row["applicants"] * row["default_rate"] / bads,
        )
        for row in values.iter_rows(named=True)
    ]
    value = sum((good - bad) * np.log(good / bad) for good, bad in shares)
    assert fit(names=["late"], monotone=[1], min_information_value=value - 1e-6).kept == ("late",)
    with pytest.raises(DataError):
        fit(names=["late"], monotone=[1], min_information_value=value + 1e-6)


def test_nothing_strong_enough_is_a_data_error():
    with pytest.raises(DataError, match="no characteristic is strong enough") as caught:
        fit(names=["noise"], monotone=[0])
    assert caught.value.faults == ("training.scorecard_min_information_value is 0.02; lower it",)


def test_everything_kept_leaves_an_empty_table_of_reasons():
    card = fit(names=["late", "paid"], monotone=[1, -1])
    assert card.left_out.is_empty()
    assert card.left_out.columns == ["characteristic", "reason"]


def test_the_same_seed_gives_the_same_card():
    again = fit()
    assert again.points.equals(CARD.points)
    assert (again.prob_default(FEATURES) == CARD.prob_default(FEATURES)).all()


def test_a_pd_at_or_beyond_the_seen_values():
    far = pl.DataFrame({"late": [100.0, -100.0], "paid": [-100.0, 100.0]})
    risky, safe = CARD.prob_default(far)
    prob = CARD.prob_default(FEATURES.filter(pl.col("paid").is_not_null()))
    assert risky == pytest.approx(prob.max())
    assert safe == pytest.approx(prob.min())


def test_close_edges_keep_attributes_apart():
    """Amounts such as 123,401 and 123,408 differ after the fourth digit."""
    late = FEATURES["late"] + 123_400
    card = fit(FEATURES.with_columns(late=late), names=["late"], monotone=[1])
    attributes = card.points["attribute"].to_list()
    assert len(set(attributes)) == len(attributes)
    for value in late.unique():
        assert [belongs(attribute, value) for attribute in attributes].count(True) == 1


def test_a_characteristic_of_which_only_missing_tells_is_kept():
    bad = pl.Series(DEFAULT) == 1
    told = pl.select(pl.when(~bad | (FEATURES["noise"] < 3)).then(FEATURES["noise"] * 0 + 7)).to_series()
    card = fit(FEATURES.with_columns(noise=told))
    rows = card.points.filter(characteristic="noise").sort("points")
    assert rows["attribute"].to_list() == ["Missing", "any value"]
    assert rows["applicants"].sum() == FEATURES.height
