"""What a run leaves open follows from its facts, its statements and its own data."""

from datetime import date

import polars as pl
import pytest
from workbench.reporting.open_items import open_items, out_of_time

from workbench.facts import make_fact
from workbench.packs import judge_sources
from workbench.params import ROOT
from workbench.statistics.estimate import Estimate
from workbench.study import load_study

NO_OUTCOME = "no outcome known (declined before, or missing)"
STATEMENTS = ("owner", "purpose", "restrictions", "population")


def study(*overrides):
    return load_study(ROOT / "params" / "smoke.yaml", overrides)


def samples(later=0):
    names = ["development", "calibration", "holdout"] + ["out_of_time"] * (later > 0)
    return pl.DataFrame({"sample": names, "applicants": [100, 50, 50, later][: len(names)]})


def tables(*, verdicts=None, later=0, no_outcome=0):
    steps = {"step": ["in the source", NO_OUTCOME], "excluded": [0, no_outcome]}
    return {
        "data/permission": judge_sources({}, [], date(2026, 11, 23)) if verdicts is None else verdicts,
        "data/samples_table": samples(later),
        "data/waterfall": pl.DataFrame(steps),
    }


def fact(name, value, **about):
    return make_fact(name, value, about=f"About {name}", **about).as_dict()


def estimate(value, low, high):
    return Estimate(value=value, low=low, high=high, level=0.95, method="bootstrap")


HELD = fact("validation.auc", estimate(0.8, 0.77, 0.83), at_least=0.75, line_source="own")
NOT_HELD = fact("validation.slope", estimate(0.7, 0.6, 0.8), at_least=0.9, at_most=1.1, line_source="own")
NOT_SETTLED = fact("validation.gain", estimate(0.01, -0.01, 0.03), at_least=0.0, line_source="own")


def verdict(**changed):
    row = {
        "source": "mobile_money",
        "data_category": "mobile_money",
        "pack": "us",
        "verdict": "conditional",
        "rule": "US-26",
        "role": "compliance officer",
        "text": "State why",
    }
    return row | changed


def test_lines_that_are_not_held_are_open():
    table = open_items([HELD, NOT_HELD, NOT_SETTLED], study(), tables())
    assert "| About validation.slope | **not held**: 0.700, line 0.900 to 1.100 | developer |" in table
    assert "| About validation.gain | not settled: 0.010, line at least 0 | developer |" in table
    assert "validation.auc" not in table


@pytest.mark.parametrize("name", STATEMENTS)
@pytest.mark.parametrize("said", ["", "  "])
def test_each_empty_statement_is_open(name, said):
    others = [f"report.{other}=said" for other in STATEMENTS if other != name]
    table = open_items([], study(*others, f"report.{name}='{said}'"), tables())
    assert f"| Statement on {name} | not provided | model owner |" in table
    assert table.count("not provided") == 1


def test_limits_that_nobody_stated_are_open():
    said = [f"report.{name}=said" for name in STATEMENTS]
    assert "| Statement on limits | not provided |" in open_items(
        [], study(*said, "report.limits=[]"), tables()
    )
    assert "not provided" not in open_items([], study(*said), tables())


def test_no_jurisdiction_is_an_open_item_of_its_own():
    assert "| Permission | No jurisdiction is named\\: " in open_items([], study(), tables())
    asked = study("data.packs=[us]")
    assert "| Permission |" not in open_items([], asked, tables(verdicts=pl.DataFrame([verdict()])))


def test_each_conditional_permission_owes_a_statement_by_its_role():
    rows = [
        verdict(),
        verdict(source="posts", pack="uk", rule="UK-1", role="data protection officer"),
        verdict(source="bureau", verdict="allowed", rule=None, role=None, text=None),
        verdict(source="water", verdict="consent needed, given by column", role=None),
    ]
    table = open_items([], study("data.packs=[us]"), tables(verdicts=pl.DataFrame(rows)))
    owed = [line for line in table.splitlines() if "Statement on the use of" in line]
    assert len(owed) == 2
    assert "mobile\\_money \\(us, US-26\\)" in owed[0]
    assert owed[0].endswith("mobile money is allowed on a condition\\: State why | compliance officer |")
    assert owed[1].endswith("| data protection officer |")


def test_what_is_prohibited_anywhere_owes_no_statement_elsewhere():
    rows = [
        verdict(),
        verdict(pack="eu", verdict="prohibited", rule="EU-27", role=None),
        verdict(source="posts"),
    ]
    table = open_items([], study("data.packs=[us, eu]"), tables(verdicts=pl.DataFrame(rows)))
    assert "Statement on the use of posts" in table
    assert "mobile\\_money" not in table


def test_what_a_pack_says_is_text():
    hostile = verdict(source="<b>", text="a | b {{< var x >}}", role="<i>")
    table = open_items([], study("data.packs=[us]"), tables(verdicts=pl.DataFrame([hostile])))
    assert "<" not in table.replace("\\<", "")
    assert "a | b" not in table


def test_only_a_study_without_later_applications_lacks_them():
    assert "| Out-of-time sample | There is none\\: " in open_items([], study(), tables())
    assert "Out-of-time sample" not in open_items([], study(), tables(later=300))


@pytest.mark.parametrize(("later", "shown"), [(9, "fewer than 10"), (10, "10"), (3000, "3,000")])
def test_later_applications_are_open_until_a_fact_judges_them(later, shown):
    table = open_items([], study(), tables(later=later))
    assert f"| Out-of-time validation | {shown} later applicants were set apart" in table
    judged = fact("validation.out_of_time.auc", 0.7)
    assert "Out-of-time" not in open_items([judged], study(), tables(later=later))


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "Every application in the data has an outcome"),
        (9, "fewer than 10 applicants"),
        (10, "10 applicants"),
    ],
)
def test_those_without_an_outcome_are_counted_from_the_waterfall(count, said):
    table = open_items([], study(), tables(no_outcome=count))
    assert f"| Declined applicants | {said}" in table


@pytest.mark.parametrize(
    ("kept", "said"), [(9, "fewer than 10 declined"), (10, "10 declined applicants are in")]
)
def test_declined_applicants_in_the_study_are_told_as_assumed(kept, said):
    declined = pl.DataFrame({"sample": ["declined"], "applicants": [kept]})
    everyone = tables() | {"data/samples_table": pl.concat([samples(), declined])}
    assert f"| Declined applicants | {said}" in open_items([], study(), everyone)


def test_the_step_without_outcome_is_the_one_that_the_data_stage_writes():
    """The report finds the step by how its name begins."""
    code = (ROOT / "workbench" / "data" / "applicants.py").read_text(encoding="utf-8")
    assert f'"{NO_OUTCOME}"' in code


def test_nobody_else_has_challenged_the_run():
    assert "| Independent validation |" in open_items([], study(), tables())


def test_a_page_without_later_applications_warns():
    shown = out_of_time(samples(), study())
    assert shown.startswith("::: {.callout-warning}\n## No out-of-time sample")


@pytest.mark.parametrize(("later", "shown"), [(9, "fewer than 10"), (300, "300")])
def test_a_page_with_later_applications_counts_them(later, shown):
    said = out_of_time(samples(later), study("data.out_of_time_from=2025-07"))
    assert "callout" not in said
    assert "from 2025-07 on" in said
    assert f"{shown} applicants" in said
