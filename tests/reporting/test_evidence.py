"""What the report says in numbers."""

import pytest
import yaml

from workbench.facts import make_fact
from workbench.params import ROOT
from workbench.reporting import evidence
from workbench.statistics.estimate import Estimate
from workbench.study import load_study

MANIFEST = {
    "run_id": "smoke",
    "created": "2026-01-01",
    "code": {"revision": "0123456789abcdef", "clean": False},
    "engine": {"name": "cpu", "why": "auto: no NVIDIA driver"},
    "platform": "Linux x86_64",
    "params_sha256": "a" * 64,
    "sources": {"data/x.parquet": "b" * 64},
    "packages": {"polars": "2.1.0"},
    "artifacts": {
        "data/applicants": {"kind": "rows", "sensitivity": "row", "rows": 2000, "sha256": "c" * 64},
        "data/facts": {"kind": "facts", "sensitivity": "aggregate", "sha256": "d" * 64},
        "data/notebook": {"kind": "notebook", "sensitivity": "aggregate", "sha256": "e" * 64},
    },
}


def study(*overrides):
    return load_study(ROOT / "params" / "smoke.yaml", overrides)


def estimate(value, low, high):
    return Estimate(value=value, low=low, high=high, level=0.95, method="bootstrap")


def fact(name, value, **about):
    return make_fact(
        f"validation.{name}", value, about=about.pop("about", f"About {name}"), **about
    ).as_dict()


HELD = fact("auc", estimate(0.8, 0.77, 0.83), at_least=0.75, line_source="own")
NOT_HELD = fact("slope", estimate(0.7, 0.6, 0.8), at_least=0.9, at_most=1.1, line_source="own")
NOT_SETTLED = fact("gain", estimate(0.01, -0.01, 0.03), at_least=0.0, line_source="own")
WITHOUT_LINE = fact("share", 0.25, unit="share")
FACTS = [HELD, NOT_HELD, NOT_SETTLED, WITHOUT_LINE]


def test_each_fact_is_a_variable():
    values = evidence.variables(FACTS, study(), MANIFEST)["validation"]
    assert (values["auc"], values["auc_interval"]) == ("0.800", "0.770 to 0.830")
    assert (values["auc_line"], values["auc_met"]) == ("at least 0.750", "held")
    assert (values["slope_line"], values["slope_met"]) == ("0.900 to 1.100", "not held")
    assert (values["gain_line"], values["gain_met"]) == ("at least 0", "not settled")
    assert values["share"] == "25.0%"
    assert "share_line" not in values
    assert values["share_interval"] == "–"


def test_facts_with_points_in_their_names():
    facts = [fact("scorecard.auc", 0.7), fact("scorecard.ks", 0.4)]
    values = evidence.variables(facts, study(), MANIFEST)["validation"]["scorecard"]
    assert (values["auc"], values["ks"]) == ("0.700", "0.400")


def test_units_are_said():
    values = evidence.variables(
        [fact("n", 2000, unit="applicants"), fact("none", None, unit="applicants")], study(), MANIFEST
    )
    assert values["validation"]["n"] == "2,000 applicants"
    assert values["validation"]["none"] == "–"


def test_variables_are_texts_that_yaml_keeps():
    values = evidence.variables(FACTS, study(), MANIFEST)
    assert yaml.safe_load(yaml.safe_dump(values)) == values

    def leaves(place):
        for value in place.values():
            yield from leaves(value) if isinstance(value, dict) else [value]

    assert {type(leaf) for leaf in leaves(values)} == {str}


def test_what_a_person_says_is_text():
    values = evidence.variables([], study("report.title='<b>T</b> {{< var x >}}'"), MANIFEST)["study"]
    assert values["title"] == r"\<b\>T\<\/b\> \{\{\< var x \>\}\}"
    assert values["owner"] == "not provided"


def test_the_run_says_where_it_comes_from():
    values = evidence.variables([], study(), MANIFEST)["run"]
    assert values["revision"] == "0123456789ab"
    assert values["clean"] == "changed and not committed"
    assert values["params_sha256"] == "a" * 16


def test_open_items_are_the_lines_that_are_not_held():
    table = evidence.open_items(FACTS, study("report.owner=Somebody"))
    assert "| About slope | **not held**: 0.700, line 0.900 to 1.100 | developer |" in table
    assert "| About gain | not settled: 0.010, line at least 0 | developer |" in table
    assert "About auc" not in table
    assert "About share" not in table


@pytest.mark.parametrize("name", ["owner", "purpose", "restrictions"])
@pytest.mark.parametrize("said", ["", "  "])
def test_each_empty_statement_is_an_open_item(name, said):
    others = [f"report.{other}=said" for other in ("owner", "purpose", "restrictions") if other != name]
    table = evidence.open_items([], study(*others, f"report.{name}='{said}'"))
    assert f"| Statement on {name} | not provided | model owner |" in table
    assert table.count("not provided") == 1


def test_an_empty_notice_is_an_open_item_or_says_so():
    """The params file promises that an empty text prints as 'not provided'."""
    values = evidence.variables([], study("report.notice=''"), MANIFEST)["study"]
    assert values["notice"] == "not provided"


def test_standing_limits_are_always_open():
    table = evidence.open_items([], study())
    for item in ("Out-of-time sample", "Declined applicants", "Independent validation"):
        assert f"| {item} |" in table


def test_the_lines_have_their_source_and_outcome():
    rows = evidence.lines_table(FACTS).splitlines()
    assert len(rows) == 2 + 3
    assert rows[2] == "| About auc | 0.800 | 0.770 to 0.830 | at least 0.750 (own) | held |"
    assert rows[3].endswith("| **not held** |")
    assert evidence.lines_table([WITHOUT_LINE]) == "*None.*\n"


def test_every_fact_is_in_the_appendix_with_its_method():
    rows = evidence.facts_table(FACTS).splitlines()
    assert len(rows) == 2 + len(FACTS)
    assert rows[2] == "| validation.auc | About auc | 0.800 | 0.770 to 0.830 | bootstrap |"
    assert rows[5].endswith("| – | – |")


def test_markup_in_a_fact_is_text():
    hostile = fact("a", "<b>x</b> | {{< var y >}}", about="a|b <i>", unit="<u>", at_least=None)
    for table in (evidence.facts_table([hostile]), evidence.open_items([{**hostile, "met": "no"}], study())):
        assert "<" not in table.replace("\\<", "")
        assert "{{<" not in table
        assert "a|b" not in table


def test_artifacts_are_listed_with_their_sensitivity():
    table = evidence.artifacts_table(MANIFEST)
    assert "data\\/applicants | rows | row | 2,000 | cccccccccccccccc |" in table
    assert "data\\/facts | facts | aggregate | – |" in table
    assert "notebook" not in table


def test_parameters_are_all_printed():
    table = evidence.parameters_table(study())
    values = study().model_dump()
    expected = sum(len(value) if isinstance(value, dict) else 1 for value in values.values())
    assert len(table.splitlines()) == 2 + expected
    assert "fairness.air\\_line | 0.8 |" in table
    assert "report.owner | not provided |" in table


def test_packages_are_printed():
    assert "polars | 2.1.0 |" in evidence.packages_table(MANIFEST)
