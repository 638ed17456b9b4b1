import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from workbench.errors import DataError
from workbench.validation.swap import DIFFERENCE, PARTS, approve_safest, swap_table

RISKS = st.lists(st.integers(0, 9), min_size=3, max_size=40)


def sample(size=4000, seed=1):
    """A champion that sees two signals and a benchmark that sees one of them."""
    generator = np.random.default_rng(seed)
    seen, hidden = generator.normal(size=(2, size))
    prob = 1 / (1 + np.exp(1.5 - seen - hidden))
    return pl.DataFrame(
        {
            "default": (generator.random(size) < prob).astype(int),
            "prob_default": prob,
            "prob_default_scorecard": 1 / (1 + np.exp(1.5 - seen)),
            "region": ["north", "south", None, "north"] * (size // 4),
        }
    )


def row_of(table, part, **where):
    return table.filter(part=part, **({"by": "all"} | where)).row(0, named=True)


@given(RISKS, st.floats(0.05, 0.95))
def test_the_safest_are_approved_in_the_order_of_risk_then_of_rows(risk, rate):
    values = np.array(risk, dtype=float)
    approved = approve_safest(values, approval_rate=rate)
    wanted = round(rate * values.size)
    assert approved.sum() == wanted
    assert set(np.flatnonzero(approved)) == set(np.argsort(values, kind="stable")[:wanted])


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5])
def test_a_rate_that_is_no_share_is_refused(rate):
    with pytest.raises(DataError, match="approval rate"):
        approve_safest(np.arange(3.0), approval_rate=rate)


def test_by_hand():
    frame = pl.DataFrame(
        {
            "default": [0, 1, 0, 1, 0, 1],
            "prob_default": [0.1, 0.9, 0.2, 0.8, 0.3, 0.7],
            "prob_default_scorecard": [0.1, 0.2, 0.9, 0.8, 0.3, 0.7],
        }
    )
    table = swap_table(frame, approval_rate=0.5)
    assert table["part"].to_list() == [*PARTS, DIFFERENCE]
    assert table["applicants"].to_list() == [2, 1, 1, 2, 2]
    assert table["defaults"].to_list() == [0, 0, 1, 2, None]
    assert table["value"].to_list() == [0, 0, 1, 1, -1]
    assert table["share"].to_list() == pytest.approx([1 / 3, 1 / 6, 1 / 6, 1 / 3, 1 / 3])


def test_the_better_model_swaps_bads_out_and_goods_in():
    table = swap_table(sample(), approval_rate=0.6)
    gap = row_of(table, DIFFERENCE)
    assert gap["high"] < 0
    swapped_in, out = row_of(table, "swap_in"), row_of(table, "swap_out")
    assert swapped_in["applicants"] == out["applicants"] > 100
    assert gap["value"] == pytest.approx(swapped_in["value"] - out["value"])
    low, high = proportion_confint(out["defaults"], out["applicants"], method="wilson")
    assert (out["low"], out["high"]) == pytest.approx((low, high))
    counts = [swapped_in["defaults"], swapped_in["applicants"], out["defaults"], out["applicants"]]
    expected = confint_proportions_2indep(*counts, method="newcomb", compare="diff")
    assert (gap["low"], gap["high"]) == pytest.approx(expected)


def test_segments_add_up_to_everyone_and_are_decided_by_everyone_s_cutoff():
    table = swap_table(sample(), approval_rate=0.6, by=["region"])
    assert table.filter(by="region")["segment"].unique(maintain_order=True).to_list() == [
        "missing",
        "north",
        "south",
    ]
    for part in PARTS:
        parts = table.filter(pl.col("by") == "region", pl.col("part") == part)
        whole = row_of(table, part)
        assert parts["applicants"].sum() == whole["applicants"]
        assert parts["defaults"].sum() == whole["defaults"]


def test_a_model_against_itself_swaps_nobody():
    table = swap_table(sample(), approval_rate=0.6, benchmark="prob_default")
    for part in ("swap_in", "swap_out", DIFFERENCE):
        row = row_of(table, part)
        assert (row["applicants"], row["value"], row["low"]) == (0, None, None)
        assert "undefined" in row["method"]


def test_all_faults_come_together():
    frame = sample().with_columns(key=pl.int_range(pl.len()))
    with pytest.raises(DataError) as caught:
        swap_table(frame, approval_rate=0.5, benchmark="prob_default_score", by=["regoin", "key"])
    text = str(caught.value)
    assert "no column prob_default_score (did you mean prob_default_scorecard?)" in text
    assert "no column regoin (did you mean region?)" in text
    assert "key has 4000 segments" in text


def test_missing_values_are_refused():
    frame = sample().with_columns(prob_default=pl.when(pl.int_range(pl.len()) > 2).then("prob_default"))
    with pytest.raises(DataError, match="missing or infinite in 3 of 4000"):
        swap_table(frame, approval_rate=0.5)
