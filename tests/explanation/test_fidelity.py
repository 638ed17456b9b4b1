import numpy as np
import polars as pl
import pytest
import xgboost

from workbench.errors import DataError
from workbench.explanation.fidelity import (
    OVERALL,
    RANDOM,
    REASONS,
    direction_table,
    fidelity_rows,
    fidelity_table,
    matrix_margin,
    named_families,
    needed_table,
    overall_families,
    random_families,
    reasons_needed,
    reference_declined,
)
from workbench.scorer import Calibration, Scorer, ScoreScale, model_matrix

NAMES = ("a", "b", "c", "d")
FAMILIES = {"a": "late", "b": "late", "c": "paid", "d": "use"}
CODES = ["late", "paid", "use"]


def table(size: int, seed: int) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    columns = {name: generator.normal(size=size) for name in NAMES}
    frame = pl.DataFrame({"applicant_id": range(1, size + 1), **columns})
    holes = generator.random(size) < 0.1
    return frame.with_columns(c=pl.when(pl.Series(~holes)).then("c"))


def train(frame: pl.DataFrame) -> Scorer:
    values = frame.select(NAMES).fill_null(0).to_numpy()
    log_odds = 1.5 * values[:, 0] + values[:, 1] * values[:, 2] + 0.7 * values[:, 2]
    default = np.random.default_rng(1).random(frame.height) < 1 / (1 + np.exp(-log_odds))
    settings = {"objective": "binary:logistic", "max_depth": 3, "eta": 0.3, "seed": 1}
    booster = xgboost.train(
        settings, xgboost.DMatrix(model_matrix(frame, NAMES), default), num_boost_round=20
    )
    return Scorer(NAMES, booster, Calibration(0.1, 0.9), ScoreScale(600, 50, 20), 490.0)


FRAME = table(1_500, seed=1)
SCORER = train(FRAME)
SCORED = FRAME.join(SCORER.score(FRAME), on="applicant_id")
DECLINED = SCORED.filter(pl.col("score") < 490).head(60)
BACKGROUND = SCORED.filter(pl.col("score").is_between(490, 500)).head(25)
ORDER = [["late", "paid", "use"]] * DECLINED.height


def rows(chosen=ORDER, choice=REASONS, declined=DECLINED, background=BACKGROUND, **changed) -> pl.DataFrame:
    settings = {"families": FAMILIES} | changed
    return fidelity_rows(SCORER, declined, background, chosen, choice=choice, **settings)


def replaced(applicant: dict, background: dict, names) -> dict:
    return {name: (background if name in names else applicant)[name] for name in NAMES}


def test_the_margin_of_a_matrix_is_the_scorer_s():
    assert matrix_margin(SCORER, model_matrix(FRAME, NAMES)).tolist() == SCORER.margin(FRAME).tolist()
    assert matrix_margin(SCORER, np.empty((0, 4))).size == 0


def test_the_margin_at_a_reference_is_the_mean_over_the_background():
    found = rows([["late", "use"]] * 5, declined=DECLINED.head(5))
    for place, applicant in enumerate(DECLINED.head(5).iter_rows(named=True)):
        for step, names in enumerate([(), ("a", "b"), ("a", "b", "d")]):
            mixed = [replaced(applicant, other, names) for other in BACKGROUND.iter_rows(named=True)]
            wanted = SCORER.margin(pl.DataFrame(mixed)).mean()
            assert found["margin"][3 * place + step] == pytest.approx(wanted, abs=1e-6)


def test_without_a_step_it_is_the_decision_itself_and_with_all_the_background_s():
    found = rows()
    start, end = (found.filter(pl.col("step") == step) for step in (0, 3))
    assert start["score"].to_list() == pytest.approx(DECLINED["score"].to_list())
    assert start["family"].null_count() == DECLINED.height
    assert start["approved"].sum() == 0
    assert end["margin"].to_list() == pytest.approx([BACKGROUND["margin"].mean()] * DECLINED.height, abs=1e-6)
    assert end["approved"].to_list() == [1] * DECLINED.height


def test_the_decision_is_the_scorer_s_at_the_cutoff():
    found = rows()
    assert (found["approved"] == (found["score"] >= 490).cast(int)).all()
    assert found["score"].to_list() == pytest.approx(SCORER.points(found["margin"].to_numpy()).tolist())


@pytest.mark.parametrize(("above", "approved"), [(0.0, 1), (1e-9, 0)])
def test_a_score_at_the_cutoff_is_approved(above, approved):
    last = rows().filter(pl.col("step") == 3)["score"][0] + above
    scorer = Scorer(NAMES, SCORER.booster, SCORER.calibration, SCORER.scale, last)
    one = DECLINED.head(1)
    found = fidelity_rows(scorer, one, BACKGROUND, ORDER[:1], choice=REASONS, families=FAMILIES)
    assert found["approved"][3] == approved


def test_the_order_of_families_does_not_change_where_they_lead():
    one, other = rows(), rows([["use", "late", "paid"]] * DECLINED.height)
    last = pl.col("step") == 3
    assert one.filter(last)["margin"].to_list() == pytest.approx(other.filter(last)["margin"].to_list())


def test_a_family_that_the_decision_does_not_use_recovers_nothing():
    """Feature d is noise; at this depth the booster still splits on it a little, so use a constant one."""
    same = BACKGROUND.with_columns(d=pl.lit(DECLINED["d"][0]))
    found = rows([["use"]], declined=DECLINED.head(1), background=same)
    assert found["margin"][0] == pytest.approx(found["margin"][1])


def test_the_named_values_alone_judge_the_background():
    named = [["late"], ["late", "paid", "use"], ["paid"]]
    found = reference_declined(SCORER, DECLINED.head(3), BACKGROUND, named, families=FAMILIES)
    for place, (applicant, names) in enumerate(
        zip(DECLINED.head(3).iter_rows(named=True), [("a", "b"), NAMES, ("c",)], strict=True)
    ):
        mixed = [replaced(other, applicant, names) for other in BACKGROUND.iter_rows(named=True)]
        score = SCORER.points(np.array([SCORER.margin(pl.DataFrame(mixed)).mean()]))[0]
        assert found[place] == (score < 490)
    assert found[1]


def steps(*paths: tuple[str, list[int]]) -> pl.DataFrame:
    """Applicants with scores after 0, 1, ... families; approved from 500."""
    found = [
        {
            "applicant_id": number,
            "choice": choice,
            "step": step,
            "margin": -float(score),
            "score": float(score),
        }
        for number, (choice, scores) in enumerate(paths, start=1)
        for step, score in enumerate(scores)
    ]
    return pl.DataFrame(found).with_columns(approved=(pl.col("score") >= 500).cast(int))


def test_reasons_needed_is_the_first_step_that_is_approved():
    found = reasons_needed(
        steps((REASONS, [480, 499, 500]), (REASONS, [480, 510, 490]), (REASONS, [480, 490, 499]))
    )
    assert found["needed"].to_list() == [2, 1, None]
    assert found["flipped"].to_list() == [True, False, False]
    assert found["recovered"].to_list() == [20, 10, 19]


def compared(ours: list[list[int]], theirs: list[list[int]], choice: str = RANDOM) -> pl.DataFrame:
    both = pl.concat(
        [steps(*((name, path) for path in paths)) for name, paths in ((REASONS, ours), (choice, theirs))]
    )
    return fidelity_table(both, level=0.95)


def test_the_table_compares_the_same_applicants():
    table_ = compared([[480, 505], [490, 520], [400, 450]], [[480, 490], [490, 500], [400, 413]])
    found = {(row["measure"], row["choice"]): row for row in table_.iter_rows(named=True)}
    assert found["flip_share", REASONS]["value"] == pytest.approx(2 / 3)
    assert found["flip_share", RANDOM]["value"] == pytest.approx(1 / 3)
    assert found["flip_share_gain", RANDOM]["value"] == pytest.approx(1 / 3)
    assert found["score_recovered", REASONS]["value"] == pytest.approx((25 + 30 + 50) / 3)
    assert found["score_gain", RANDOM]["value"] == pytest.approx((15 + 20 + 37) / 3)
    for row in found.values():
        assert row["low"] <= row["value"] <= row["high"]
        assert row["applicants"] == 3
        assert row["method"]


def test_a_choice_compared_with_itself_gains_nothing():
    found = compared([[480, 505], [400, 450]], [[480, 505], [400, 450]])
    gains = found.filter(pl.col("measure").str.ends_with("gain"))
    assert gains["value"].to_list() == [0, 0]


def test_choices_of_other_applicants_are_refused():
    with pytest.raises(DataError, match="cannot be compared") as caught:
        compared([[480, 505], [400, 450]], [[480, 505]])
    assert caught.value.faults == ("'random' has other applicants",)
    with pytest.raises(DataError, match="cannot be compared"):
        fidelity_table(steps((RANDOM, [480, 505])), level=0.95)


def test_how_many_are_needed_adds_up_to_everyone():
    found = needed_table(rows(), level=0.95)
    assert found["applicants"].sum() == DECLINED.height
    assert found["value"].sum() == pytest.approx(1)
    shown = needed_table(steps((REASONS, [480, 505]), (REASONS, [480, 490])), level=0.95)
    assert shown.select("needed", "applicants").rows() == [(1, 1), (None, 1)]


def test_direction_counts_the_reasons_that_lower_the_risk():
    found = direction_table(
        steps((REASONS, [480, 505, 500]), (REASONS, [480, 485, 490])), np.array([True, False]), level=0.95
    )
    assert dict(found.select("measure", "value").iter_rows()) == {
        "reason_lowers_risk": 0.75,
        "reference_declined": 0.5,
    }


def test_a_step_that_changes_nothing_does_not_lower_the_risk():
    found = direction_table(
        steps((REASONS, [480, 480]), (REASONS, [480, 481])), np.array([True, True]), level=0.95
    )
    assert found["value"][0] == 0.5


def reasons(*told: tuple[int, int, str, str]) -> pl.DataFrame:
    return pl.DataFrame(told, schema=["applicant_id", "rank", "reason_code", "kind"], orient="row")


IDS = pl.Series("applicant_id", [7, 3])


def test_named_families_are_the_model_s_in_order_of_rank():
    told = reasons(
        (3, 2, "use", "model"), (3, 1, "late", "model"), (7, 1, "age rule", "rule"), (7, 2, "paid", "model")
    )
    assert named_families(told, IDS) == [["paid"], ["late", "use"]]


def test_applicants_without_a_reason_of_the_model_are_counted():
    with pytest.raises(DataError, match="without any") as caught:
        named_families(reasons((3, 1, "late", "model"), (7, 1, "age rule", "rule")), IDS)
    assert caught.value.faults == ("1 of 2 have no reason of the model",)


def test_random_families_are_as_many_seeded_and_without_repeats():
    named = [["late"], ["late", "paid"], CODES]
    found = random_families(named, CODES, seed=5)
    assert [len(order) for order in found] == [1, 2, 3]
    assert all(len(set(order)) == len(order) for order in found)
    assert found == random_families(named, list(reversed(CODES)), seed=5)
    drawn = random_families([["late"]] * 3_000, CODES, seed=1)
    counts = [sum(order == [code] for order in drawn) for code in CODES]
    assert min(counts) > 900


def test_overall_families_are_the_same_for_everyone():
    points = np.array([[1.0, -9.0, 0.0], [2.0, 8.0, 0.5]])
    assert overall_families([["use"], ["late", "use"]], points, CODES) == [["paid"], ["paid", "late"]]


def test_all_faults_are_told_at_once():
    approved = pl.concat([DECLINED.head(1), BACKGROUND.head(2)])
    with pytest.raises(DataError) as caught:
        rows([["layte"], []], declined=approved, background=BACKGROUND.head(0))
    assert caught.value.faults == (
        "there are no background applicants",
        "2 lists of families for 3 applicants",
        "1 lists of families are empty",
        "the model has no family 'layte' (did you mean late?)",
        "2 of 3 applicants are approved; reasons are of the declined",
    )


def test_features_without_a_family_are_named():
    with pytest.raises(DataError, match="without a family") as caught:
        rows(families={"a": "late", "c": "paid"})
    assert caught.value.faults == ("b has none", "d has none")


def test_reasons_are_truer_than_random_ones():
    """What the booster was made from is late and paid; families of SHAP must beat a draw."""
    named = [["late", "paid"]] * DECLINED.height
    points = np.tile([3.0, 1.0, 0.1], (DECLINED.height, 1))
    choices = {
        REASONS: named,
        RANDOM: random_families(named, CODES, seed=2),
        OVERALL: overall_families(named, points, CODES),
    }
    found = fidelity_table(
        pl.concat([rows(chosen, choice) for choice, chosen in choices.items()]), level=0.95
    )
    gain = {row["choice"]: row for row in found.iter_rows(named=True) if row["measure"] == "score_gain"}
    assert gain[RANDOM]["low"] > 0
    assert gain[OVERALL]["value"] == pytest.approx(0)
