"""Nothing that is hidden follows from what is shown: sums, sums of parts, and rates made of few."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pipeline.running import shared_run
from workbench.reporting.content import TABLES
from workbench.reporting.disclosure import (
    NEAREST,
    complements,
    how_told,
    is_small,
    shown_facts,
    shown_frames,
    small_cells,
    steps,
    with_told,
)
from workbench.run import Run

CELLS = ("goods_approved", "goods_declined", "bads_approved", "bads_declined")
EDUCATION = {  # of 10,000 borrowers, as they are
    "graduate school": (1923, 217, 266, 254),
    "high school": (770, 163, 112, 171),
    "other": (90, 6, 7, 1),
    "university": (2253, 412, 362, 485),
}


def counts_of(groups, attribute="education"):
    rows = [
        {
            "attribute": attribute,
            "group": group,
            "applicants": sum(cells),
            **dict(zip(CELLS, cells, strict=True)),
        }
        for group, cells in groups.items()
    ]
    return pl.DataFrame(rows)


def rates_of(counts, metric, value=0.123456):
    return counts.select(
        "attribute", "group", "applicants", metric=pl.lit(metric), value=value, low=value, high=value,
        method=pl.lit("percentile"), judged=True, note=pl.lit(""), p_adjusted=0.004,
    )  # fmt: skip


def printed(name, frame, below=10):
    table = TABLES[name]
    lines = table.markdown(table.rows(frame, suppress_below=below), suppress_below=below).splitlines()[2:]
    return {row[1]: row[2:] for row in ([c.strip() for c in line.split("|")[1:-1]] for line in lines)}


@pytest.mark.parametrize(("count", "small"), [(None, False), (0, False), (1, True), (9, True), (10, False)])
def test_few_are_from_one_to_the_line(count, small):
    assert is_small(count, 10) is small


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [
        ((9, 40, 500), {1}),
        ((9, 0, 40), {2}),
        ((3, 4, 500, 40), {3}),  # 7 people together are as few as 3 and 4
        ((3, 8, 500), set()),
        ((9, 0, 0), set()),
        ((10, 40), set()),
    ],
)
def test_what_is_hidden_together_is_not_few(sizes, taken):
    rows = [{"n": size} for size in sizes]
    hidden = small_cells(rows, ["n"], below=10)
    assert complements(rows, hidden, ["n"], within=(), order="n", below=10) == taken


def test_each_total_is_looked_at_by_itself():
    """Two hidden rows of an attribute are no shelter for each other where they add up to other totals."""
    rows = [
        {"flow": flow, "n": n} for flow, n in (("out", 1), ("out", 62), ("out", 65), ("in", 4), ("in", 43))
    ]
    hidden = small_cells(rows, ["n"], below=10)
    assert complements(rows, hidden, ["n"], within=["flow"], order="n", below=10) == {1, 4}


def test_steps_that_are_told_cumulated_are_hidden_with_their_neighbour():
    rows = [{"n": size} for size in (500, 5, 100, 30)]
    assert complements(rows, [1], ["n"], within=(), order=NEAREST, below=10) == {0}
    rows = [{"n": size} for size in (500, 100, 30, 5)]
    assert complements(rows, [3], ["n"], within=(), order=NEAREST, below=10) == {2}


TABLE = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=8)


@given(table=TABLE, below=st.integers(0, 20), order=st.sampled_from(["a", "b", NEAREST]))
def test_no_small_sum_follows_by_subtraction(table, below, order):
    rows = [{"a": a, "b": b} for a, b in table]
    small = small_cells(rows, ["a", "b"], below=below)
    hidden = {*small} | complements(rows, small, ["a", "b"], within=(), order=order, below=below)
    assert all(not is_small(row[n], below) for at, row in enumerate(rows) if at not in hidden for n in row)
    left = [at for at, row in enumerate(rows) if at not in hidden and (order == NEAREST or row[order])]
    for name in ("a", "b"):
        assert not is_small(sum(rows[at][name] for at in hidden), below) or not left
    assert bool(hidden) == bool(small)


@pytest.mark.parametrize(
    ("people", "decimals"), [(9, 0), (99, 0), (100, 1), (999, 1), (1000, 2), (10_000, 3)]
)
def test_one_step_of_a_rounded_share_is_at_least_ten_people(people, decimals):
    assert steps(people, 10) == decimals


def test_rates_of_few_are_hidden_and_those_beside_them_rounded():
    told = how_told(counts_of(EDUCATION), {name: (name,) for name in CELLS}, below=10)
    assert {group: way for (_, group), way in told.items()} == {
        "graduate school": "whole",
        "high school": "rounded",
        "other": "hidden",
        "university": "whole",
    }


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("fairness_false_positives", "false_positive_rate_difference"),
        ("fairness_approved_defaults", "default_rate_among_approved_difference"),
        ("fairness_costs", "error_cost_difference"),
        ("fairness_selection", "selection_rate"),
        ("fairness_ratios", "adverse_impact_ratio"),
    ],
)
def test_no_rate_gives_a_hidden_count_away(name, metric):
    """0.875 of 8 bads and 0.0722 of 97 approved are 7; 0.9327 of 104 are 97, which leaves 7 declined."""
    counts = counts_of(EDUCATION)
    shown = printed(name, with_told(rates_of(counts, metric), counts, below=10))
    assert shown["other"][:3] == ["104", "hidden", "hidden"]
    assert shown["high school"][:2] == ["1,216", "about 0.120"]
    assert shown["university"][:2] == ["3,512", "0.123"]


def test_a_p_value_is_never_rounded_to_less():
    counts = counts_of(EDUCATION)
    shown = printed("fairness_ratios", with_told(rates_of(counts, "adverse_impact_ratio"), counts, below=10))
    assert shown["high school"][3] == "about 0.004"
    assert shown["other"][3] == "hidden"


def test_beside_few_a_small_group_s_rate_is_hidden_but_for_the_one_it_is_judged_by():
    counts = counts_of({"a": (60, 20, 20, 20), "b": (90, 6, 7, 1), "c": (600, 200, 200, 200)})
    rates = rates_of(counts, "true_positive_rate_difference", -0.156)
    assert with_told(rates, counts, below=10)["told"].to_list() == ["hidden", "hidden", "whole"]
    judged = with_told(rates, counts, below=10, is_judged_by=True)
    assert judged.select("told", "decimals").rows()[:2] == [("rounded", 2), ("rounded", 2)]
    other = rates.with_columns(metric=pl.lit("standardized_mean_difference"))
    assert set(with_told(other, counts, below=10)["told"]) == {"whole"}


def test_where_nobody_is_few_everything_is_told():
    counts = counts_of({"a": (60, 20, 20, 20), "b": (90, 16, 17, 11)})
    for below in (0, 10):
        assert set(with_told(rates_of(counts, "selection_rate"), counts, below=below)["told"]) == {"whole"}


def test_parts_of_a_difference_are_told_as_the_difference():
    counts = counts_of(EDUCATION)
    parts = counts.select("attribute", "group", of=pl.Series(["selection", "margin"] * 2))
    assert with_told(parts, counts, below=10)["told"].to_list() == ["whole", "whole", "hidden", "whole"]


def test_swaps_are_hidden_by_flow():
    rows = [
        {"attribute": "status", "group": group, "flow": flow, "applicants": n, "share": 0.01,
         "default_rate": 0.5, "low": 0.1, "high": 0.9}
        for group, flow, n in (
            ("a", "out", 62), ("b", "out", 1), ("c", "out", 65), ("a", "in", 50), ("c", "in", 53)
        )
    ]  # fmt: skip
    table = TABLES["fairness_swaps"]
    text = table.markdown(table.rows(pl.DataFrame(rows), suppress_below=10), suppress_below=10)
    assert [line.count("hidden") for line in text.splitlines()[2:]] == [4, 3, 0, 0, 0]


def test_a_step_of_the_waterfall_does_not_follow_from_those_around_it():
    rows = [
        {"step": str(at), "excluded": out, "applicants": n, "default_rate": 0.2}
        for at, (out, n) in enumerate([(0, 1000), (100, 900), (5, 895), (300, 595), (50, 545)])
    ]
    table = TABLES["data_waterfall"]
    lines = table.markdown(pl.DataFrame(rows), suppress_below=10).splitlines()[2:]
    assert [("hidden" in line) for line in lines] == [False, True, True, False, False]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run.open(shared_run(tmp_path_factory))


def test_facts_of_groups_beside_few_are_rounded_and_say_so(run):
    rows = shown_frames(run, ["fairness/headlines"])["fairness/headlines"].filter(pl.col("told") != "whole")
    coarse = {f"fairness.{row['attribute']}.{row['metric']}" for row in rows.iter_rows(named=True)}
    assert coarse
    for fact, exact in zip(shown_facts(run), run.facts(), strict=True):
        if fact["id"] in coarse:
            assert fact["value"] == round(exact["value"], 2)
            assert "rounded" in fact["method"]
            assert fact["met"] == exact["met"]
        else:
            assert fact == exact


def test_no_table_of_rates_tells_of_a_group_whose_counts_are_few(run):
    """The groups whose four counts hold a small one have no rate of outcomes in any table."""
    counts = pl.read_parquet(run.checked_path("fairness/counts"))
    few = {
        (row["attribute"], row["group"])
        for row in counts.iter_rows(named=True)
        if any(is_small(row[name], 10) for name in CELLS)
    }
    assert few
    frames = shown_frames(run, ["fairness/metrics"])
    for name in ("fairness_true_positives", "fairness_false_positives", "fairness_costs"):
        table = TABLES[name]
        rows = table.rows(frames["fairness/metrics"], suppress_below=10)
        for row in rows.iter_rows(named=True):
            if (row["attribute"], row["group"]) in few:
                shown = table.markdown(
                    rows.filter(group=row["group"], attribute=row["attribute"]), suppress_below=10
                )
                cells = shown.splitlines()[-1].split("|")
                assert [cells[4].strip(), cells[5].strip()] == ["hidden", "hidden"], row
