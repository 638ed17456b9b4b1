"""A first study from a table: what is guessed, what is refused, what is never written, and that it runs."""

import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.pipeline.running import call, command, refused, states
from workbench.errors import DataError, ParamsError
from workbench.kinds import KINDS
from workbench.params import ROOT, Study
from workbench.profile import Column, outward, profile, words
from workbench.run import Run
from workbench.sources import ColumnFeature, Rule, Source, Wide
from workbench.study import load_study
from workbench.template import write_study

ROWS = 1_500
pytestmark = pytest.mark.filterwarnings("ignore:`cut` is deprecated:DeprecationWarning")  # data/applicants.py


def applicants(**changes):
    """Synthetic applicants, with the columns that a bank's extract would have; None leaves one out."""
    draw = np.random.default_rng(1)
    income, late = np.round(draw.lognormal(8, 0.5, ROWS), 2), draw.poisson(1.2, ROWS)
    odds = np.exp(-2 + 0.5 * late - 0.0001 * income)
    months = draw.integers(1, 13, ROWS)
    columns = {
        "CustomerNo": np.arange(ROWS) + 100_000,
        "Full Name": [f"Jane Q. Public {i}" for i in range(ROWS)],
        "contact": [f"+2547{draw.integers(10**7, 10**8)}" for _ in range(ROWS)],
        "application_date": [f"2025-{m:02}-{1 + i % 28:02}" for i, m in enumerate(months)],
        "Sex": draw.choice(["female", "male"], ROWS),
        "age": draw.integers(18, 76, ROWS),
        "marital_status": ["widowed"] * 4 + [*draw.choice(["married", "single"], ROWS - 4)],
        "declared_income": income,
        "late_payments": late,
        "home": draw.choice(["rent", "own"], ROWS),
        "has_savings": draw.choice(["yes", "no"], ROWS),
        "tenure_months": [None if i % 9 == 0 else i % 200 for i in range(ROWS)],
        "remark": [f"remark {i} on file" for i in range(ROWS)],
        "constant": [7] * ROWS,
        "default": (draw.random(ROWS) < odds / (1 + odds)).astype(int),
    }
    return pl.DataFrame({name: values for name, values in (columns | changes).items() if values is not None})


def write(frame, folder, suffix="csv"):
    path = folder / f"extract.{suffix}"
    writers = {"csv": frame.write_csv, "parquet": frame.write_parquet, "jsonl": frame.write_ndjson}
    writers[suffix](path)
    return str(path)


def drafted(frame, folder, suffix="csv", **options):
    """Write a study from a frame and load it."""
    options = {"target": "default", "out": folder / "mine.yaml"} | options
    return load_study(write_study("mine", write(frame, folder, suffix), **options).path)


def source_of(study):
    return study.data.sources["applicants"]


# The template


def test_the_template_shows_every_key_and_kind():
    path = ROOT / "params" / "template.yaml"
    study, text = load_study(path), path.read_text(encoding="utf-8")
    assert {source.kind for source in study.data.sources.values()} == set(KINDS)
    for model in (Source, Rule, ColumnFeature, Wide):
        for key in model.model_fields:
            assert re.search(rf"\b{key}:", text), key
    sections = yaml.safe_load(text)
    for name, field in Study.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            assert list(sections[name]) == list(field.annotation.model_fields), name
    paths = " ".join(source.path for source in study.data.sources.values())
    assert all(sign in paths for sign in ("*", "s3://", "https://", ".jsonl", ".csv"))


# What is written


def test_a_draft_from_the_command_line_runs(tmp_path):
    out, table = tmp_path / "mine.yaml", write(applicants(), tmp_path)
    done = call(command("new", "mine", "--from", table, "--target", "default", "--out", out))
    assert done.returncode == 0, done.stderr
    assert str(out) in done.stdout.replace("\n", "")
    study = load_study(out)
    assert list(study.data.protected) == ["sex", "age", "marital_status"]
    for stage in ("data", "features"):
        done = call(command("run", out, "--runs", tmp_path / "runs", "--only", stage))
        assert done.returncode == 0, done.stdout + done.stderr
        assert states(done) == {stage: "complete"}
    run = Run.open(tmp_path / "runs" / "mine")
    kept = pl.read_parquet(run.checked_path("data/applicants"))
    assert kept.height == ROWS
    assert kept["default"].sum() == applicants()["default"].sum()
    built = pl.read_parquet(run.checked_path("features/features"))
    assert set(built.columns) == {"applicant_id", *source_of(study).features}
    refused(
        call(command("new", "mine", "--from", table, "--target", "default", "--out", out)), "there already"
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_types_and_parts_are_guessed_from_any_format(tmp_path, suffix):
    study = drafted(applicants(), tmp_path, suffix)
    source = source_of(study)
    assert source.columns["applicant_id"] == "CustomerNo"
    assert source.columns["application_time"] == "application_date"
    assert source.types == {
        "sex": "category",
        "age": "integer",
        "marital_status": "category",
        "declared_income": "money",
        "late_payments": "integer",
        "home": "category",
        "has_savings": "flag",
        "tenure_months": "integer",
    }
    assert set(source.features) == {"declared_income", "late_payments", "has_savings", "tenure_months"}
    assert source.features["declared_income"].data_category == "income"
    assert study.pseudonym_key == ""
    assert study.fairness.attributes == ["sex", "age_band", "marital_status"]


def test_the_contract_has_rounded_bounds_shared_labels_and_what_is_missing(tmp_path):
    source = source_of(drafted(applicants(), tmp_path))
    assert source.contract["age"] == Rule(minimum=10, maximum=100, missing=False)
    assert source.contract["tenure_months"] == Rule(minimum=0, maximum=200)
    assert source.contract["home"] == Rule(allowed=["own", "rent"], missing=False)
    assert source.contract["marital_status"].allowed == ["married", "single"], "four are widowed"
    assert source.severity == {"marital_status": "warn"}


def test_no_value_of_a_person_is_written(tmp_path):
    frame = applicants()
    drafted(frame, tmp_path)
    text = (tmp_path / "mine.yaml").read_text(encoding="utf-8")
    assert "widowed" not in text
    for name in ("Full Name", "contact", "remark", "CustomerNo", "application_date", "declared_income"):
        values = {str(value) for value in frame[name]}
        assert not [value for value in values if len(value) > 4 and value in text], name
    assert "contact: direct identifier: phone, values" in text
    assert "Full Name: direct identifier: name, column name" in text


def test_the_reference_group_is_the_largest(tmp_path):
    frame = applicants()
    groups = drafted(frame, tmp_path).fairness.reference_groups
    assert groups["sex"] == frame["Sex"].mode()[0]
    starts = {"under 30": 0, "30 to 39": 30, "40 to 49": 40, "50 to 61": 50, "62 and over": 62}
    bands = Counter(max((s, n) for n, s in starts.items() if s <= age)[1] for age in frame["age"])
    assert groups["age_band"] == bands.most_common(1)[0][0]


def test_ids_of_text_need_a_key_and_the_command_says_how_to_make_one(tmp_path):
    frame = applicants(CustomerNo=[f"K{i:05}" for i in range(ROWS)])
    out = tmp_path / "mine.yaml"
    done = call(command("new", "mine", "--from", write(frame, tmp_path), "--target", "default", "--out", out))
    assert done.returncode == 0, done.stderr
    assert "export WORKBENCH_KEY=$(openssl rand -hex 32)" in done.stdout
    assert load_study(out).pseudonym_key == "WORKBENCH_KEY"


def test_ids_that_look_personal_need_a_key(tmp_path):
    frame = applicants(CustomerNo=[2_547_000_000 + i for i in range(ROWS)])
    assert drafted(frame, tmp_path).pseudonym_key == "WORKBENCH_KEY"


def test_times_in_the_order_of_a_country(tmp_path):
    days = pl.col("application_date").str.to_date().dt.strftime("%d/%m/%Y")
    source = source_of(drafted(applicants().with_columns(days), tmp_path))
    assert source.time_format == "%d/%m/%Y"
    assert source.columns["application_time"] == "application_date"


def test_one_pattern_reads_a_clock_and_days(tmp_path):
    days = pl.col("application_date").str.to_date().dt.strftime("%d/%m/%Y")
    frame = applicants(age=None).with_columns(
        days + " 14:05", days.str.replace("2025", "1980").alias("birth_date")
    )
    source = source_of(drafted(frame, tmp_path))
    assert source.time_format == "%d/%m/%Y %H:%M"
    assert source.columns["application_time"] == "application_date"
    assert source.types["birth_date"] == "time"


def test_without_an_application_time_there_is_a_date_to_check(tmp_path):
    study = drafted(applicants(application_date=None), tmp_path)
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", study.data.application_date)
    assert "application_date:" in (tmp_path / "mine.yaml").read_text()


def test_another_encoding_is_named(tmp_path):
    text = applicants(home=["propriétaire" if i % 2 else "locataire" for i in range(ROWS)]).write_csv()
    path = tmp_path / "extract.csv"
    path.write_bytes(text.encode("cp1252"))
    words = {"target": "default", "out": tmp_path / "mine.yaml"}
    with pytest.raises(DataError, match="another encoding"):
        write_study("mine", str(path), **words)
    source = source_of(load_study(write_study("mine", str(path), encoding="cp1252", **words).path))
    assert source.encoding == "cp1252"
    assert source.contract["home"].allowed == ["locataire", "propriétaire"]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("race_code", [i % 57 for i in range(ROWS)]),
        ("zip_code", [10_000 + i % 900 for i in range(ROWS)]),
        ("loan_id", [5 + 3 * i for i in range(ROWS)]),
        ("date_of_first_loan", [20_200_101 + i % 28 for i in range(ROWS)]),
    ],
)
def test_a_number_that_is_no_quantity_is_left_unread(tmp_path, column, values):
    source = source_of(drafted(applicants(**{column: values}), tmp_path))
    assert column not in {*source.types, *source.columns.values()}


def test_names_that_the_data_stage_uses_are_not_taken(tmp_path):
    frame = applicants(vintage=[i % 50 for i in range(ROWS)], SAMPLE=[i % 40 for i in range(ROWS)])
    features = source_of(drafted(frame, tmp_path)).features
    assert {"vintage_own", "sample_own"} <= set(features)


def test_a_protected_attribute_with_gaps_is_not_judged(tmp_path):
    frame = applicants(Sex=[("female", "male", None)[i % 3] for i in range(ROWS)])
    study = drafted(frame, tmp_path)
    assert "sex" in study.data.protected
    assert "sex" not in study.fairness.attributes


def test_protected_attributes_are_added_by_hand(tmp_path):
    study = drafted(applicants(), tmp_path, protected=["home"])
    assert study.data.protected == ["sex", "age", "marital_status", "home"]


def test_the_table_may_lie_in_the_repository(tmp_path):
    table = ROOT / "data" / "taiwan_credit.parquet"
    written = write_study("mine", os.path.relpath(table), target="DEFAULT", out=tmp_path / "mine.yaml")
    source = source_of(load_study(written.path))
    assert source.path == "data/taiwan_credit.parquet"
    assert {"sex", "age", "marriage"} == set(source.types) - set(source.features)


# What is refused


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        ({}, {"target": "defalt"}, "--target defalt: no such column (did you mean default?)"),
        ({}, {"protected": ["Sexx", "agee"]}, "2 column(s)"),
        (
            {"Sex": None, "age": None, "marital_status": None},
            {},
            "no column looks like a protected attribute",
        ),
        ({"default": [1] * ROWS}, {}, "is the same in every row"),
        ({"default": [None] * ROWS}, {}, "has no value in any row"),
        ({"default": [i % 3 for i in range(ROWS)]}, {}, "holds 3 different values"),
        ({"default": [("good", "bad")[i % 2] for i in range(ROWS)]}, {}, "which one is bad"),
        ({"default": [int(i < 79) for i in range(ROWS)]}, {}, "fewer than 80 defaults"),
        ({}, {"applicant_id": "Sex"}, "--id Sex: its values repeat"),
        ({"CustomerNo": None}, {}, "no column is clearly the id"),
        ({}, {"application_time": "home"}, "--time home: holds no times"),
        ({}, {"protected": ["declared_income"]}, "cannot be judged by group"),
        (
            dict.fromkeys(["declared_income", "late_payments", "has_savings", "tenure_months"]),
            {},
            "no column can be a feature",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_study_can_be_made_of_is_told(tmp_path, changes, options, said):
    with pytest.raises((ParamsError, DataError)) as caught:
        drafted(applicants(**changes), tmp_path, **options)
    assert said in str(caught.value)
    assert not (tmp_path / "mine.yaml").exists()


def test_eighty_defaults_are_enough(tmp_path):
    study = drafted(applicants(default=[int(i < 80) for i in range(ROWS)]), tmp_path)
    assert study.data.holdout_share == study.data.calibration_share == 0.25


def test_a_table_without_a_head_is_not_quoted(tmp_path):
    path = tmp_path / "headless.csv"
    path.write_text("1001,Jane Doe,1\n1002,John Doe,0\n")
    with pytest.raises(ParamsError, match="does its first line hold values") as caught:
        write_study("mine", str(path), target="default", out=tmp_path / "mine.yaml")
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("name", ["My study", "1st", "a/b", ""])
def test_a_study_has_a_name(tmp_path, name):
    with pytest.raises(ParamsError, match="no name for a study"):
        write_study(name, "nowhere.csv", target="default", out=tmp_path / "mine.yaml")


def test_a_missing_table_and_a_password_are_told(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        write_study("mine", str(tmp_path / "no.csv"), target="default", out=tmp_path / "mine.yaml")
    with pytest.raises(ParamsError, match="no password in params") as caught:
        write_study("mine", "ftp://me:secret@host/x.csv", target="default", out=tmp_path / "mine.yaml")
    assert "secret" not in str(caught.value)


# What columns hold


def column(values, name="x"):
    other = ["other"] * len(values)
    return profile(pl.LazyFrame({name: values, "y": other}))[0][0]


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("x", ["1", "0"] * 30, "flag"),
        ("x", [True, False] * 30, "flag"),
        ("x", ["1", "2"] * 30, "integer"),
        ("x", [str(i) for i in range(60)], "integer"),
        ("x", [*map(str, range(57)), "n/a", "n/a", "n/a"], "integer"),
        ("x", [*map(str, range(56)), "n/a", "n/a", "n/a", "n/a"], "text"),
        ("x", [i + 0.5 for i in range(60)], "number"),
        ("loan_amount", [i + 0.5 for i in range(60)], "money"),
        ("loan_count", list(range(60)), "integer"),
        ("x", ["2025-01-31"] * 60, "time"),
        ("x", ["31.01.2025 17:05"] * 60, "time"),
        ("x", [f"t{i % 20}" for i in range(60)], "category"),
        ("x", [f"t{i % 21}" for i in range(60)], "text"),
        ("x", [None] * 60, None),
        ("x", [[1]] * 60, None),
    ],
)
def test_the_type_of_a_column(name, values, kind):
    assert column(values, name).type == kind


def test_a_column_is_counted():
    found = column(["a", "b", None, "", " ", "a"])
    assert (found.rows, found.filled, found.distinct, found.labels) == (6, 3, 2, {"a": 2, "b": 1})
    assert not found.complete


@pytest.mark.parametrize(("few", "varies"), [(19, False), (20, True)])
def test_a_feature_varies_in_twenty_rows(few, varies):
    assert column([1] * few + [0] * (1000 - few)).varies is varies


@pytest.mark.parametrize(("count", "shared"), [(9, ["b"]), (10, ["a", "b"])])
def test_a_label_is_shared_by_ten(count, shared):
    assert column(["a"] * count + ["b"] * 50).shared == shared


@given(st.floats(-1e12, 1e12).filter(lambda value: abs(value) > 1e-12))
def test_bounds_are_rounded_outward_and_not_far(value):
    low, high = outward(value, up=False), outward(value, up=True)
    assert low <= value <= high
    assert max(abs(low), abs(high)) <= 2.5 * min(abs(low), abs(high)) * (1 + 1e-9)
    assume(value != low)
    assert outward(-value, up=True) == -low


def test_words_of_a_name():
    assert words("CustomerNo_2") == ["customer", "no", "2"]
    assert words("Prêt (montant)") == ["pret", "montant"]


def test_a_column_holds_no_values_but_few_labels():
    assert {"labels"} == {
        n for n, t in Column.__annotations__.items() if "dict" in str(t) or "list" in str(t)
    }
    assert column([f"person {i}" for i in range(60)]).labels == {}
    assert Path(ROOT / "params" / "template.yaml").is_file()
