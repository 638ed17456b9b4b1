"""The tables of the data and features chapters, for a study of one ledger and for one of many sources."""

import re
from datetime import date

import polars as pl
import pytest

from workbench.packs import judge_sources
from workbench.reporting.content import TABLES

HOSTILE = "<b>a</b> | b_c {{< var x >}} *d* $e$ [f](g) @fig-h\ni"
MONTHS = {"2025-01": (100, 20), "2025-02": (200, 30), "2025-03": (150, 25)}


def printed(name, frame, *, below=10):
    """The rows of a table as the report prints them, as lists of cells."""
    table = TABLES[name]
    text = table.markdown(table.rows(frame, suppress_below=below), suppress_below=below)
    return [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines()[2:]]


def is_plain(text):
    """Whether no character of markup stands there without its backslash."""
    bare = re.sub(r"\\.", "", text)
    return not set(bare) & set("<>{}*$[]@|_")


def ledger(**changed):
    names = ("read", "without_consent", "unknown_applicant", "left_out", "staged", "after_application")
    names += ("recorded_after", "outside_window", "set_aside", "kept")
    row = dict.fromkeys(names, 0) | {"read": 1000, "staged": 900, "kept": 900} | changed
    return pl.DataFrame({"source": "water"} | row)


def vintages(months=MONTHS):
    rows = [
        {"vintage": m, "applicants": n, "defaults": d, "default_rate": d / n} for m, (n, d) in months.items()
    ]
    return pl.DataFrame(rows)


def quality(issue, worst, rows=500):
    row = {"source": "water", "issue": issue, "column": "amount_due", "action": "warn", "months": 1}
    return pl.DataFrame(row | {"worst_month": "2025-02", "rows": rows, "worst": worst, "meaning": "x"})


def topics(applicants, term="rent"):
    rows = [(1, 1, "debt", 0.3, 500), (1, 2, term, 0.2, applicants), (2, 1, "song", 0.4, 300)]
    return pl.DataFrame(rows, schema=["topic", "rank", "term", "weight", "applicants"], orient="row")


def groups(*sizes):
    names = [f"group {i}" for i in range(len(sizes))]
    return pl.DataFrame(
        {"attribute": "sex", "group": names, "applicants": sizes, "holdout": [50] * len(sizes)}
    )


def test_a_study_without_jurisdiction_says_so():
    verdicts = judge_sources({"applicants": ("credit_terms", False)}, [], date(2026, 11, 23))
    assert printed("data_permission", verdicts)[0][0] == "no jurisdiction is named"
    assert printed("data_rules", verdicts)[0][0] == "no rule decides"


def test_what_the_law_says_of_each_source():
    sources = {
        "applicants": ("credit_terms", False),
        "posts": ("social_media", True),
        "air_time": ("device", True),
    }
    verdicts = judge_sources(sources, ["us"], date(2026, 11, 23))
    rows = printed("data_permission", verdicts)
    assert [row[0] for row in rows] == ["applicants", "posts", r"air\_time"]
    assert rows[0][3:] == ["allowed", "–", "–"]
    assert rows[1][3:] == ["conditional", "[US-26]{.unbroken}", "compliance officer"]
    rules = printed("data_rules", verdicts)
    assert [row[0] for row in rules] == ["[US-26]{.unbroken}"]
    assert rules[0][2:4] == ["[2019-12-03]{.unbroken}", "secondary source"]


@pytest.mark.parametrize(("about", "shown"), [("", "not provided"), ("Bills", "Bills"), (HOSTILE, None)])
def test_what_a_source_is_said_to_be_is_text(about, shown):
    row = {"source": "water", "kind": "bills", "data_category": "utility", "consent": "not asked for"}
    frame = pl.DataFrame(row | {"columns": 6, "unread": 0, "use": "model", "about": about})
    cells = printed("data_inventory", frame)
    assert len(cells) == 1
    assert len(cells[0]) == 8
    assert cells[0][1] == shown or is_plain(cells[0][1])


def test_a_column_s_name_is_text():
    row = {
        "source": "posts",
        "column": HOSTILE,
        "identifier": "phone",
        "found_by": "in text",
        "action": "masked",
    }
    cells = printed("data_identifiers", pl.DataFrame(row))
    assert len(cells[0]) == 5
    assert is_plain(cells[0][1])


def test_the_rows_of_a_source_add_up():
    frame = ledger(left_out=60, unknown_applicant=40, after_application=20, recorded_after=15, kept=865)
    assert printed("data_ledger", frame) == [["water", "1,000", "0", "100", "35", "0", "0", "865"]]


@pytest.mark.parametrize(("aside", "hidden"), [(9, True), (10, False)])
def test_few_rows_of_a_source_are_not_told(aside, hidden):
    row = printed("data_ledger", ledger(set_aside=aside, kept=900 - aside))[0]
    assert (row[6] == "fewer than 10") is hidden
    assert (row[1] == "hidden") is hidden


@pytest.mark.parametrize(
    ("issue", "worst", "shown"),
    [
        ("duplicate", 0.0199, "2.0%"),
        ("missing", 0.1007, "10.1%"),
        ("volume", 1.5, "150.0%"),
        ("unit_shift", 15.89, "factor 15.9"),
        ("category_shift", 0.123, "distance 0.12"),
    ],
)
def test_the_worst_month_has_the_unit_of_its_issue(issue, worst, shown):
    assert printed("data_quality", quality(issue, worst))[0][5] == shown


def test_few_rows_with_an_issue_are_not_told():
    row = printed("data_quality", quality("duplicate", 0.01, rows=3))[0]
    assert row[3:7] == ["hidden", "[2025-02]{.unbroken}", "hidden", "fewer than 10"]


def test_each_issue_is_explained_once():
    frame = pl.concat([quality("volume", 0.9), quality("duplicate", 0.1), quality("volume", 0.8)])
    assert [row[0] for row in printed("data_issues", frame)] == ["duplicate", "volume"]


@pytest.mark.parametrize("small", [(9, 4), (100, 9), (100, 91)], ids=["people", "defaults", "goods"])
def test_a_month_of_few_is_hidden_and_one_more_with_it(small):
    """The months add up to the study, which is printed."""
    rows = printed("data_vintages", vintages(MONTHS | {"2025-02": small}))
    hidden = [row for row in rows if "fewer than 10" in row or row[1] == "hidden"]
    assert [row[0] for row in hidden] == ["[2025-01]{.unbroken}", "[2025-02]{.unbroken}"]
    assert hidden[0][1:] == ["hidden"] * 4
    assert rows[2][1:] == ["150", "25", "125", "16.7%"]


def test_months_of_many_are_shown():
    assert len([row for row in printed("data_vintages", vintages()) if "–" in row]) == 0


@pytest.mark.parametrize(("size", "hidden"), [(9, 2), (10, 0)])
def test_a_small_group_is_hidden_and_the_next_with_it(size, hidden):
    rows = printed("data_groups", groups(size, 40, 500))
    assert len([row for row in rows if row[3] == "hidden"]) == hidden


@pytest.mark.parametrize(("size", "hidden"), [(9, 2), (10, 0)])
def test_a_small_group_is_not_compared_with_the_reference(size, hidden):
    figures = {"share": [0.1, 0.3, 0.6], "low": 0.1, "high": 0.7, "reference": 0.3, "difference": -0.012}
    frame = (
        groups(size, 40, 500)
        .drop("holdout")
        .with_columns(
            **{
                name: pl.Series([v] * 3) if isinstance(v, float) else pl.Series(v)
                for name, v in figures.items()
            }
        )
    )
    rows = printed("data_representativeness", frame)
    assert len([row for row in rows if row[3] == "hidden"]) == hidden
    assert rows[2][3:] == ["60.0%", "10.0%\u00a0to\u00a070.0%", "30.0%", "−1.2%"]


def test_a_group_of_nobody_and_a_group_without_a_reference_are_shown():
    figures = {"share": [0.0, None], "low": [0.0, None], "high": [0.002, None]}
    beside = {"reference": [0.01, None], "difference": [-0.01, None]}
    frame = groups(0, 40).drop("holdout").with_columns(pl.DataFrame(figures | beside))
    rows = [row[2:] for row in printed("data_representativeness", frame)]
    assert rows == [["0", "0.0%", "0.0%\u00a0to\u00a00.2%", "1.0%", "−1.0%"], ["40", "–", "–", "–", "–"]]


def test_topics_are_told_by_their_words():
    assert printed("features_topics", topics(20)) == [["1", "debt, rent"], ["2", "song"]]


@pytest.mark.parametrize(("applicants", "shown"), [(9, "debt"), (10, "debt, rent")])
def test_a_word_of_few_people_is_not_told(applicants, shown):
    assert printed("features_topics", topics(applicants))[0][1] == shown


def test_a_topic_of_rare_words_only_is_left_out():
    rare = topics(20).with_columns(pl.lit(3).alias("applicants"))
    assert printed("features_topics", rare)[0] == ["the study has no texts", "–"]


def test_a_word_is_text():
    row = printed("features_topics", topics(20, HOSTILE))[0]
    assert len(row) == 2
    assert is_plain(row[1])


def catalogue(features):
    row = {
        "source": "water",
        "data_category": "utility",
        "unit": "share",
        "monotone": 1,
        "definition": HOSTILE,
    }
    frame = pl.DataFrame([row | {"feature": f"water_{i}"} for i in range(features)])
    return frame.with_columns(family=pl.int_range(pl.len()).mod(4).cast(pl.String))


def test_families_are_counted():
    rows = printed("features_families", catalogue(10))
    assert [row[3] for row in rows] == ["3", "3", "2", "2"]


@pytest.mark.parametrize(("features", "long", "shown"), [(30, False, 30), (31, True, 4)])
def test_a_long_catalogue_shows_one_feature_of_each_family(features, long, shown):
    table, frame = TABLES["features_catalogue"], catalogue(features)
    assert table.is_long(frame) is long
    assert (table.brief(frame) if long else frame).height == shown
    assert all(is_plain(row[1]) for row in printed("features_catalogue", frame))


def test_a_long_scorecard_shows_whole_characteristics():
    table = TABLES["training_scorecard"]
    spans = range(1, 21)
    rows = [
        {"characteristic": f"c{span}", "points": 10.0 + span * place} for span in spans for place in range(7)
    ]
    brief = table.brief(pl.DataFrame(rows))
    assert brief["characteristic"].unique(maintain_order=True).to_list() == [
        f"c{span}" for span in range(13, 21)
    ]
    assert brief.height == 8 * 7


def test_samples_stand_in_the_order_of_their_use():
    names = ["calibration", "development", "holdout", "out_of_time"]
    frame = pl.DataFrame({"sample": names, "applicants": [100] * 4, "approval_rate": [0.5] * 4})
    frame = frame.with_columns(mean_prob_default=0.1, median_score=550.0)
    shown = [row[0] for row in printed("scoring_by_sample", frame)]
    assert shown == ["development", "calibration", "holdout", "out of time"]


@pytest.mark.parametrize("name", list(TABLES))
def test_each_chapter_s_table_says_when_it_is_empty(name):
    table = TABLES[name]
    lines = table.markdown(pl.DataFrame(), suppress_below=10).splitlines()
    assert len(lines) == 3
    assert lines[2].count("|") == len(table.columns) + 1
