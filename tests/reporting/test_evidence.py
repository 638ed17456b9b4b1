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
    "sources": {"applicants": "b" * 64},
    "pseudonym_key": "",
    "encryption_key": "",
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
    assert (values["auc"], values["auc_interval"]) == ("0.800", "0.770\u00a0to\u00a00.830")
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


def test_an_empty_notice_is_an_open_item_or_says_so():
    """The params file promises that an empty text prints as 'not provided'."""
    values = evidence.variables([], study("report.notice=''"), MANIFEST)["study"]
    assert values["notice"] == "not provided"


def test_the_lines_have_their_source_and_outcome():
    rows = evidence.lines_table(FACTS).splitlines()
    assert len(rows) == 2 + 3
    assert rows[2] == "| About auc | 0.800 | 0.770\u00a0to\u00a00.830 | at least 0.750 (own) | held |"
    assert rows[3].endswith("| **not held** |")
    assert evidence.lines_table([WITHOUT_LINE]).splitlines()[2] == "| none | – | – | – | – |"


def test_every_fact_is_in_the_appendix_with_its_method():
    rows = evidence.facts_table(FACTS).splitlines()
    assert len(rows) == 2 + len(FACTS)
    assert rows[2] == "| validation.auc | About auc | 0.800 | 0.770\u00a0to\u00a00.830 | bootstrap |"
    assert rows[5].endswith("| – | – |")


def test_markup_in_a_fact_is_text():
    hostile = fact("a", "<b>x</b> | {{< var y >}}", about="a|b <i>", unit="<u>", at_least=None)
    table = evidence.facts_table([hostile])
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
    values = study().model_dump(exclude_defaults=True)
    sources = values["data"].pop("sources")
    expected = sum(len(value) if isinstance(value, dict) else 1 for value in values.values())
    expected += sum(len(keys) for keys in sources.values())
    assert len(table.splitlines()) == 2 + expected
    assert "fairness.air\\_line | 0.8 |" in table
    assert "report.owner | not provided |" in table
    assert "data.packs | not provided |" in table
    assert "data.protected | sex, age, education, marital\\_status |" in table


def test_each_source_is_printed_key_by_key_as_in_the_params():
    rows = evidence.parameters_table(study()).splitlines()
    shown = next(row for row in rows if row.startswith("| data.sources.statements.contract |"))
    assert "status\\: \\{minimum\\: -2.0, maximum\\: 8.0, missing\\: false\\}" in shown
    assert not [row for row in rows if "None" in row]


@pytest.mark.parametrize("limit", ["<b>x</b> | {{< var y >}}", "- a\n- b", "# a", "$x$ [y](z) @fig-a"])
def test_what_a_params_file_says_of_limits_is_text(limit):
    frozen = study()
    report = frozen.report.model_copy(update={"limits": [limit], "population": limit})
    shown = evidence.limits_list(frozen.model_copy(update={"report": report}))
    lines = shown.splitlines()
    assert [line[:2] for line in lines] == ["- ", "- "]
    for mark in "<{$[@#|":
        assert mark not in shown.replace(f"\\{mark}", "")


def test_limits_that_nobody_stated():
    frozen = study()
    report = frozen.report.model_copy(update={"limits": [" "], "population": ""})
    shown = evidence.limits_list(frozen.model_copy(update={"report": report}))
    assert shown == "- **Population.** not provided\n- not provided\n"


def test_each_source_with_the_start_of_its_hash():
    rows = evidence.sources_table(study(), MANIFEST).splitlines()
    assert rows[2:] == [f"| applicants | {'b' * 16} |", "| statements | none\\: read by URL or query |"]


@pytest.mark.parametrize(
    ("unit", "value", "shown"),
    [
        ("applicants", 9, "fewer than 10 applicants"),
        ("applicants", 10, "10 applicants"),
        ("rows", 1, "fewer than 10 rows"),
        ("defaults", 0, "0 defaults"),
        ("features", 3, "3 features"),
        ("applicants", None, "–"),
    ],
)
def test_a_small_count_of_people_is_no_number_of_the_report(unit, value, shown):
    facts = [fact("n", value, unit=unit)]
    assert evidence.variables(facts, study(), MANIFEST)["validation"]["n"] == shown
    assert f"| {shown} |" in evidence.facts_table(facts, suppress_below=10)


@pytest.mark.parametrize(
    ("sensitivity", "shown"), [("row", "fewer than 10"), ("aggregate", "3")], ids=["row", "aggregate"]
)
def test_few_rows_of_people_are_not_counted_in_the_list_of_artifacts(sensitivity, shown):
    entry = {"kind": "rows", "sensitivity": sensitivity, "rows": 3, "sha256": "f" * 64}
    table = evidence.artifacts_table({"artifacts": {"data/posts": entry}}, suppress_below=10)
    assert f"| {shown} |" in table


@pytest.mark.parametrize(
    ("key", "cipher", "shown"),
    [
        ("", "", ("the source's own", "not encrypted")),
        ("A_KEY", "B", ("pseudonyms under the key in A\\_KEY", "encrypted under the key in B")),
    ],
)
def test_the_run_says_what_was_done_to_ids_and_files(key, cipher, shown):
    manifest = {**MANIFEST, "pseudonym_key": key, "encryption_key": cipher}
    values = evidence.variables([], study(), manifest)["run"]
    assert (values["pseudonyms"], values["encryption"]) == shown


def test_packages_are_printed():
    assert "polars | 2.1.0 |" in evidence.packages_table(MANIFEST)
