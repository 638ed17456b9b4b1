"""Findings by source and month: what is found, what is not, and what the study does about it."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.making import APPLIED, DAY, LINES, WARN, applicants, bills, take
from workbench.data.quality import (
    ISSUES,
    MEANINGS,
    actions_of,
    add_up,
    findings,
    month_findings,
    month_name,
    quality_table,
    row_findings,
    stop_on,
)
from workbench.errors import DataError
from workbench.kinds import Issue

ACTIONS = {"power": {**WARN, "amount_due": "warn"}}
MONTHS = [202411, 202412, 202501, 202502, 202503, 202504]


def counts(rows=1000, **measures):
    """Counts of the source power by month: rows and measures, each one number or one for each month."""
    table = []
    for name, values in {"rows": rows, **{k.replace("__", ":"): v for k, v in measures.items()}}.items():
        spread = values if isinstance(values, list) else [values] * len(MONTHS)
        table += [("power", m, name, float(v)) for m, v in zip(MONTHS, spread, strict=False) if v is not None]
    schema = {"source": pl.String, "month": pl.Int32, "measure": pl.String, "value": pl.Float64}
    return pl.DataFrame(table, schema=schema, orient="row")


def found(issue, table, lines=LINES):
    """The months, columns and distances that are found of an issue."""
    rows = month_findings(table, ACTIONS, lines).filter(pl.col("issue") == issue)
    return [(m, c, pytest.approx(s)) for m, c, s in rows.select("month", "column", "share").iter_rows()]


def test_every_issue_has_a_meaning_and_a_place_in_params():
    from typing import get_args

    assert set(ISSUES) == set(MEANINGS) == set(get_args(Issue))


# Volume


@pytest.mark.parametrize(
    ("rows", "months"),
    [
        ([1000, 1000, 1501, 1000, 1000, 1000], [202501]),
        ([1000, 1000, 1500, 1000, 1000, 1000], []),
        ([1000, 1000, 499, 1000, 1000, 1000], [202501]),
        ([1000, 1000, 500, 1000, 1000, 1000], []),
        ([100, 200, 400, 800, 1600, 3200], []),
        ([3200, 1600, 800, 400, 200, 100], []),
        ([1000, 1000, 5000, 5000, 5000, 5000], []),
        ([5000, 1000, 1000, 1000, 1000, 5000], []),
        ([10, 10, 199, 10, 10, 10], []),
        ([10, 10, 200, 10, 10, 10], [202501]),
        ([1000, 3000, 1000, 3000, 1000, 1000], [202412, 202501, 202502]),
    ],
    ids=[
        "spike",
        "no spike",
        "drop",
        "no drop",
        "growth",
        "decline",
        "lasting",
        "first and last",
        "few",
        "enough",
        "two spikes",
    ],
)
def test_a_volume_that_differs_from_both_neighbours(rows, months):
    assert [month for month, *_ in found("volume", counts(rows))] == months


def test_a_month_without_any_row_is_found():
    assert found("volume", counts([1000, 1000, None, 1000, 1000, 1000])) == [(202501, "", 1.0)]
    assert found("volume", counts([100, 100, None, 100, 100, 100])) == []


def test_stray_months_far_away_do_not_put_a_first_month_among_the_judged():
    stray = counts([900, 1000, 1000, 1000, 1000, 1000]).with_columns(
        month=pl.when(pl.col("month") == 202411).then(197001).otherwise("month").cast(pl.Int32)
    )
    assert found("volume", stray) == []


def test_rows_without_a_month_are_not_judged():
    table = counts().with_columns(month=pl.when(pl.col("month") == 202501).then(None).otherwise("month"))
    assert [month for month, *_ in found("volume", table)] == [202501]


@given(st.lists(st.integers(200, 10_000), min_size=1, max_size=6), st.floats(0.05, 3))
def test_volume_against_a_plain_loop(rows, line):
    expected = []
    for before, here, after in zip(rows, rows[1:], rows[2:], strict=False):
        ratios = [abs(here / near - 1) for near in (before, after)]
        apart = (here > before and here > after) or (here < before and here < after)
        expected.append(apart and min(ratios) > line)
    lines = LINES | {"volume": line}
    assert len(found("volume", counts(rows), lines)) == sum(expected)


# Missing, units, categories


@pytest.mark.parametrize(
    ("missing", "months"), [(149, []), (151, [202501]), (0, [202501]), (51, []), (1000, [202501])]
)
def test_a_missing_share_that_differs_from_both_neighbours(missing, months):
    table = counts(missing__service=[100, 100, missing, 100, 100, 100])
    assert [(month, column) for month, column, _ in found("missing", table)] == [
        (m, "service") for m in months
    ]


def logs(*levels, size=1000):
    """Sums of log10 amounts in millionths for months of so many amounts of these levels."""
    from math import log10

    sums = [round(size * log10(level) * 1e6) for level in levels]
    return counts(log_sum__amount_due=sums, log_count__amount_due=size)


@pytest.mark.parametrize(
    ("level", "months"),
    [(1.99, []), (2.01, [202501]), (100, [202501]), (0.51, []), (0.49, [202501]), (0.01, [202501])],
)
def test_a_level_of_amounts_that_differs_by_a_factor(level, months):
    found_in = found("unit_shift", logs(7, 7, 7 * level, 7, 7, 7))
    assert [month for month, *_ in found_in] == months
    if months:
        assert found_in[0][1] == "amount_due"
        assert found_in[0][2] == max(level, 1 / level)


def test_inflation_and_a_new_unit_that_stays_are_no_finding():
    assert found("unit_shift", logs(1, 3, 9, 27, 81, 243)) == []
    assert found("unit_shift", logs(1, 1, 100, 100, 100, 100)) == []


def mixes(*power):
    rest = [1000 - value for value in power]
    return counts(**{"category__service=power": list(power), "category__service=water": rest})


@pytest.mark.parametrize(
    ("power", "months"), [(699, []), (701, [202501]), (499, [202501]), (501, []), (1000, [202501])]
)
def test_a_mix_of_categories_that_differs_from_both_neighbours(power, months):
    found_in = found("category_shift", mixes(600, 600, power, 600, 600, 600))
    assert [(m, c) for m, c, _ in found_in] == [(m, "service") for m in months]
    if months:
        assert found_in[0][2] == abs(power - 600) / 1000


def test_a_category_that_comes_for_one_month_is_found():
    table = counts(
        **{
            "category__service=power": [1000, 1000, 700, 1000, 1000, 1000],
            "category__service=gas: x=y": [None, None, 300],
        }
    )
    assert found("category_shift", table) == [(202501, "service", 0.3)]


def test_a_category_that_is_gone_for_one_month_is_found():
    table = counts(
        **{
            "category__service=power": [700, 700, 1000, 700, 700, 700],
            "category__service=gas": [300, 300, None, 300, 300, 300],
        }
    )
    assert found("category_shift", table) == [(202501, "service", 0.3)]


def test_a_mix_that_moves_on_is_no_finding():
    assert found("category_shift", mixes(600, 600, 900, 900, 900, 900)) == []
    assert found("category_shift", mixes(0, 200, 400, 600, 800, 1000)) == []


def test_months_of_few_rows_are_not_judged():
    assert found("missing", counts(199, missing__service=[0, 0, 199, 0, 0, 0])) == []
    assert len(found("missing", counts(200, missing__service=[0, 0, 200, 0, 0, 0]))) == 1


def test_lines_are_the_study_s():
    table = counts([1000, 1000, 1300, 1000, 1000, 1000])
    assert found("volume", table) == []
    assert found("volume", table, LINES | {"volume": 0.29}) == [(202501, "", 0.3)]


# Issues of rows


def test_issues_of_rows_by_month_and_column():
    table = counts(duplicate=[0, 0, 10, 0, 0, 0], out_of_contract__amount_due=[0, 5, 0, 0, 0, 0])
    rows = row_findings(table, ACTIONS).select("issue", "column", "month", "affected", "share").rows()
    assert rows == [
        ("duplicate", "", 202501, 10.0, 0.01),
        ("out_of_contract", "amount_due", 202412, 5.0, 0.005),
    ]


@pytest.mark.parametrize(("unknown", "share"), [(1000, 0.5), (3000, 0.75), (0, None)])
def test_rows_of_nobody_are_a_share_of_all_rows(unknown, share):
    rows = row_findings(counts(unknown_applicant=[0, 0, unknown, 0, 0, 0]), ACTIONS)
    assert rows["share"].to_list() == ([share] if share else [])


def test_months_of_rows_of_nobody_only_are_wholly_so():
    table = counts([None, None, 1000], unknown_applicant=[7, None, 250], duplicate=[None, None, 250])
    rows = row_findings(table, ACTIONS).select("issue", "month", "affected", "share").rows()
    assert rows == [
        ("duplicate", 202501, 250.0, 0.25),
        ("unknown_applicant", 202411, 7.0, 1.0),
        ("unknown_applicant", 202501, 250.0, 0.2),
    ]


def test_counts_add_up():
    parts = [counts(10, duplicate=1), counts(20), counts(5, duplicate=2)]
    whole = add_up(parts)
    assert whole.filter(pl.col("measure") == "rows")["value"].to_list() == [35.0] * 6
    assert whole.filter(pl.col("measure") == "duplicate")["value"].to_list() == [3.0] * 6
    assert add_up(reversed(parts)).equals(whole)


# Severity


def test_a_source_s_own_severity_comes_before_the_study_s():
    own = {"duplicate": "stop", "amount_due": "quarantine"}
    actions = actions_of(WARN | {"out_of_contract": "stop"}, own, ["amount_due", "service"])
    assert actions["duplicate"] == "stop"
    assert actions["volume"] == "warn"
    assert (actions["amount_due"], actions["service"]) == ("quarantine", "stop")


def test_a_contract_s_own_action_is_in_the_findings():
    table = counts(
        out_of_contract__amount_due=[1, 0, 0, 0, 0, 0], out_of_contract__service=[1, 0, 0, 0, 0, 0]
    )
    actions = {"power": WARN | {"out_of_contract": "stop", "amount_due": "quarantine"}}
    rows = findings(table, actions, LINES).select("column", "action").rows()
    assert rows == [("amount_due", "quarantine"), ("service", "stop")]


def test_a_stop_gathers_every_finding():
    table = counts(
        [1000, 1000, 3000, 1000, 1000, 1000],
        duplicate=[0, 0, 1200, 34, 0, 0],
        out_of_contract__amount_due=[7, 0, 0, 0, 0, 0],
        late_arrival=[9, 0, 0, 0, 0, 0],
    )
    actions = {"power": {**dict.fromkeys(ISSUES, "stop"), "late_arrival": "warn", "amount_due": "stop"}}
    with pytest.raises(DataError) as caught:
        stop_on(findings(table, actions, LINES))
    assert caught.value.summary == "data quality: 3 finding(s) with severity stop"
    assert caught.value.faults == (
        f"power: duplicate in 2 month(s), first 2025-01; 1,234 rows ({MEANINGS['duplicate']})",
        "power.amount_due: out_of_contract in 1 month(s), first 2024-11; 7 rows "
        f"({MEANINGS['out_of_contract']})",
        f"power: volume in 1 month(s), first 2025-01; 3,000 rows ({MEANINGS['volume']})",
        "correct the source, or set data.severity to quarantine or warn",
    )


@pytest.mark.parametrize("action", ["warn", "quarantine"])
def test_only_a_stop_stops(action):
    table = counts(duplicate=5)
    stop_on(findings(table, {"power": dict.fromkeys(ISSUES, action)}, LINES))


def test_the_table_has_one_row_for_each_issue_and_column():
    table = quality_table(findings(counts(duplicate=[0, 0, 10, 30, 0, 0], late_arrival=1), ACTIONS, LINES))
    assert table.row(0, named=True) == {
        "source": "power",
        "issue": "duplicate",
        "column": "",
        "action": "warn",
        "months": 2,
        "worst_month": "2025-02",
        "rows": 40,
        "worst": 0.03,
        "meaning": MEANINGS["duplicate"],
    }
    assert table.select("issue", "months", "rows").row(1) == ("late_arrival", 6, 6)
    assert quality_table(findings(counts(), ACTIONS, LINES)).height == 0


@pytest.mark.parametrize(("month", "name"), [(202503, "2025-03"), (202512, "2025-12"), (None, "no date")])
def test_the_name_of_a_month(month, name):
    assert month_name(month) == name


# From real rows


def monthly(factor=1.0, service="power"):
    """Bills of 300 applicants in each of nine months; those of January 2025 are changed."""
    rows = []
    for back in range(20, 290, 30):
        month = (APPLIED - back * DAY).strftime("%Y%m")
        odd = month == "202501"
        rows += [
            {
                "applicant_id": i,
                "event_time": APPLIED - back * DAY,
                "amount_due": (10.0 + i % 7) * (factor if odd else 1),
                "service": service if odd and i % 2 else "power",
            }
            for i in range(1, 301)
        ]
    return {"applicants": applicants(300), "power": bills(*rows)}


def test_clean_months_have_no_finding(tmp_path):
    assert take(tmp_path, monthly()).findings.height == 0


@pytest.mark.parametrize(
    ("issue", "frames"), [("unit_shift", monthly(factor=100)), ("category_shift", monthly(service="gas"))]
)
def test_a_month_that_is_set_aside(tmp_path, issue, frames):
    taken = take(tmp_path, frames, severity={issue: "quarantine"})
    column = {"unit_shift": "amount_due", "category_shift": "service"}[issue]
    assert taken.found(issue) == [("power", column, 202501, 300)]
    aside = taken.rows("power_set_aside")
    assert aside["reason"].unique().to_list() == [issue]
    assert aside.height == taken.account("power")["set_aside"] == 300
    assert taken.account("power")["kept"] == taken.rows("power").height == 8 * 300
