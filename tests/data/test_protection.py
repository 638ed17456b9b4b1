"""Direct identifiers: found or declared, then replaced, masked, dropped or never read."""

import polars as pl
import pytest

from tests.data.making import applicants, bills, source, take
from workbench.data import intake
from workbench.data.protection import protect
from workbench.errors import DataError
from workbench.privacy.pseudonyms import pseudonymise_text

KEY = b"0123456789abcdef"
PHONES = ["+254712345678", "+254798765432", "+254700111222"]
MAILS = ["a.b@example.org", "c.d@example.org", "e.f@example.org"]


def table_of(tmp_path, frame, key=KEY, *, named=(), suffix="parquet", **said):
    """The applicants' source after protection, and the table of what was done."""
    path = tmp_path / f"applicants.{suffix}"
    frame.write_csv(path) if suffix == "csv" else frame.write_parquet(path)
    declared = {"applicants": source("applicants", path=path.name, **said)}
    opened = intake.open_sources(declared, root=tmp_path, scratch=tmp_path)
    safe, table = protect(opened, key, protected=named)
    return safe["applicants"].standard, table


def protected(tmp_path, frame, key=KEY, **said):
    """The applicants' source after protection, and what was done with each column beside the id as such."""
    standard, table = table_of(tmp_path, frame, key, **said)
    done = {
        row["column"]: (row["identifier"], row["found_by"], row["action"])
        for row in table.iter_rows(named=True)
        if row["found_by"] != "kind"
    }
    return standard, done


def refused(*words, **more):
    with pytest.raises(DataError) as caught:
        table_of(*words, **more)
    assert not any(value in str(caught.value) for value in [*PHONES, *MAILS])
    return str(caught.value)


def test_nothing_is_found_where_nothing_is(tmp_path):
    standard, done = protected(tmp_path, applicants(3), key=None)
    assert done == {}
    assert standard.columns == ("applicant_id", "application_time", "default")


def test_a_column_that_is_found_by_its_name_and_not_read_stays_where_it_is(tmp_path):
    standard, done = protected(tmp_path, applicants(3, phone=PHONES), key=None)
    assert done == {"phone": ("phone", "column name", "never read")}
    assert "phone" not in standard.columns


@pytest.mark.parametrize("asked", ["category", "id"])
def test_a_column_that_is_read_becomes_keyed_pseudonyms(tmp_path, asked):
    standard, done = protected(tmp_path, applicants(3, contact=PHONES), types={"contact": asked})
    assert done == {"contact": ("phone", "values", "pseudonym")}
    found = standard.table.collect()["contact"]
    assert found.to_list() == pseudonymise_text(pl.Series(PHONES), KEY).to_list()


def test_a_column_may_be_dropped_instead(tmp_path):
    said = {"types": {"contact": "category"}, "identifiers": {"contact": "drop"}}
    standard, done = protected(tmp_path, applicants(3, contact=PHONES), key=None, **said)
    assert done == {"contact": ("phone", "values", "drop")}
    assert "contact" not in standard.columns
    assert "contact" not in standard.table.collect().columns


def test_a_column_that_nothing_shows_can_be_declared(tmp_path):
    said = {"types": {"clan": "category"}, "identifiers": {"clan": "pseudonym"}}
    standard, done = protected(tmp_path, applicants(3, clan=["a", "b", None]), **said)
    assert done == {"clan": ("declared", "params", "pseudonym")}
    assert [len(value) if value else 0 for value in standard.table.collect()["clan"]] == [16, 16, 0]


def test_an_identifier_in_a_column_of_numbers_is_not_read(tmp_path):
    frame = applicants(3, msisdn=[254712345678, 254798765432, 254700111222])
    standard, done = protected(tmp_path, frame, key=None, types={"msisdn": "integer"})
    assert done["msisdn"] == ("phone", "column name", "never read")
    assert "msisdn" not in standard.columns


def test_words_that_hold_identifiers_here_and_there_become_pseudonyms_unless_they_are_text(tmp_path):
    notes = [f"call {PHONES[0]}", "nothing", "fine"]
    _, done = protected(tmp_path, applicants(3, remark=notes), types={"remark": "category"})
    assert done == {"remark": ("phone", "in text", "pseudonym")}
    _, done = protected(tmp_path, applicants(3, remark=notes), key=None, types={"remark": "text"})
    assert done == {"remark": ("phone", "in text", "masked")}


def test_the_id_of_applicants_is_always_replaced(tmp_path):
    _, done = protected(tmp_path, applicants(3, applicant_id=PHONES))
    assert done == {"applicant_id": ("phone", "values", "pseudonym")}


def test_identifiers_without_a_key_are_refused_all_at_once(tmp_path):
    frame = applicants(3, applicant_id=PHONES, mail=MAILS, clan=["a", "b", "c"])
    said = {"types": {"mail": "category", "clan": "category"}, "identifiers": {"clan": "pseudonym"}}
    with pytest.raises(DataError, match="direct identifiers and no pseudonym key") as caught:
        protected(tmp_path, frame, key=None, **said)
    assert caught.value.faults == (
        "applicants.applicant_id: phone",
        "applicants.clan: declared",
        "applicants.mail: email",
        "name the environment variable that holds a key: pseudonym_key: WORKBENCH_KEY",
        "where a person has looked and it is none: identifiers: {column: keep}",
    )
    assert not any(value in str(caught.value) for value in [*PHONES, *MAILS])


@pytest.mark.parametrize(("key", "action"), [(KEY, "pseudonym"), (None, "kept")])
def test_the_id_itself_is_in_the_table(tmp_path, key, action):
    _, table = table_of(tmp_path, applicants(3), key)
    assert table.rows() == [("applicants", "applicant_id", "applicant id", "kind", action)]


# Anywhere in a column, and of several kinds


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("asked", ["category", "id"])
def test_identifiers_far_down_a_column_that_is_read_are_found(tmp_path, suffix, asked):
    notes = ["fine"] * 5_000 + [f"call {PHONES[0]}"]
    standard, done = protected(
        tmp_path, applicants(5_001, remark=notes), suffix=suffix, types={"remark": asked}
    )
    assert done == {"remark": ("phone", "in text", "pseudonym")}
    assert not standard.table.collect()["remark"].str.contains("call").any()


def test_of_very_many_distinct_values_a_sample_tells(tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.data.protection.DISTINCT_VALUES", 2_000)
    values = [f"word {n:x}" for n in range(20_000)] + [f"p{n}@example.org" for n in range(2_000)]
    _, done = protected(tmp_path, applicants(22_000, remark=values), types={"remark": "category"})
    assert done == {"remark": ("email", "in text", "pseudonym")}


def test_several_identifiers_of_a_column_are_all_reported(tmp_path):
    values = [PHONES[0], PHONES[1], MAILS[0], MAILS[1], f"pay GB29NWBK60161331926819 or {PHONES[2]}"]
    _, table = table_of(tmp_path, applicants(5, contact=values), types={"contact": "category"})
    found = table.filter(pl.col("column") == "contact").select("identifier", "found_by", "action")
    assert found.rows() == [
        ("account", "in text", "pseudonym"),
        ("email", "values", "pseudonym"),
        ("phone", "values", "pseudonym"),
    ]


def test_a_column_that_is_read_twice_is_protected_twice(tmp_path):
    said = {"columns": {"a": "contact", "b": "contact"}, "types": {"a": "category", "b": "category"}}
    standard, _ = protected(tmp_path, applicants(3, contact=PHONES), **said)
    assert standard.table.select("a", "b").collect()["a"].str.len_bytes().to_list() == [16] * 3
    assert standard.table.collect()["b"].str.len_bytes().to_list() == [16] * 3


def test_a_ledger_laid_flat_is_looked_at_as_it_is_read(tmp_path):
    frame = pl.DataFrame({"applicant_id": [1, 2], "m1": ["a", PHONES[0]], "m2": ["b", "c"], "n": [1, 2]})
    frame.write_parquet(tmp_path / "s.parquet")
    wide = {
        "times": ["2025-01-01", "2025-02-01"],
        "columns": {c: ["n", "n"] for c in ("status", "billed", "paid")} | {"channel": ["m1", "m2"]},
    }
    made = source("statements", path="s.parquet", types={"channel": "category"}, wide=wide)
    opened = intake.open_sources({"s": made}, root=tmp_path, scratch=tmp_path)
    safe, table = protect(opened, KEY)
    assert table.rows() == [("s", "channel", "phone", "values", "pseudonym")]
    assert safe["s"].standard.table.collect()["channel"].str.len_bytes().unique().to_list() == [16]


# Columns that are needed


FEATURE = {"definition": "x", "unit": "y"}


@pytest.mark.parametrize("asked", ["money", "integer", "number"])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_the_name_of_a_number_that_is_a_feature_tells_nothing(tmp_path, asked, suffix):
    said = {"columns": {"x": "mobile"}, "types": {"x": asked}, "features": {"x": FEATURE}}
    values = [2_547_123_456, 7_123_456_789, 3_000_000_000]
    standard, done = protected(tmp_path, applicants(3, mobile=values), key=None, suffix=suffix, **said)
    assert done == {}
    assert standard.table.collect()["x"].null_count() == 0


def test_flags_and_protected_numbers_are_kept_whatever_their_names(tmp_path):
    frame = applicants(3, phone=[0, 1, 1], account=[30, 40, 50], address=[1, 2, 3])
    said = {"types": {"phone": "flag", "account": "integer", "address": "integer"}}
    standard, done = protected(tmp_path, frame, key=None, named=["account"], **said)
    assert done == {"address": ("address", "column name", "never read")}
    assert {"phone", "account"} < set(standard.columns)


def test_amounts_in_a_csv_file_are_no_phones(tmp_path):
    frame = bills(*({"amount_due": n} for n in (2_547_123_456, 7_123_456_789))).drop("paid_time")
    frame.with_columns(paid_time=None).write_csv(tmp_path / "a.csv")
    opened = intake.open_sources({"b": source(path="a.csv")}, root=tmp_path, scratch=tmp_path)
    safe, table = protect(opened, None)
    assert table.rows() == []
    assert "amount_due" in safe["b"].standard.columns


CARDS = [4111111111111111, 5500005555555559, 4012888888881881]


@pytest.mark.parametrize(
    "said",
    [
        {"types": {"x": "integer"}, "features": {"x": FEATURE}},
        {"types": {"x": "integer"}, "named": ["x"]},
    ],
    ids=["feature", "protected"],
)
def test_a_number_that_is_needed_and_an_identifier_is_refused_with_the_way_out(tmp_path, said):
    text = refused(tmp_path, applicants(3, x=CARDS), key=None, **said)
    assert "applicants.x: account (values), needed as it is" in text
    assert "identifiers: {x: keep}" in text
    said["identifiers"] = {"x": "keep"}
    standard, done = protected(tmp_path, applicants(3, x=CARDS), key=None, **said)
    assert done == {"x": ("account", "values", "kept")}
    assert standard.table.collect()["x"].to_list() == CARDS


@pytest.mark.parametrize("named", [[], ["clan"]])
def test_a_protected_attribute_does_not_turn_into_pseudonyms_unasked(tmp_path, named):
    frame = applicants(3, clan=["a", "b", f"call {PHONES[0]}"])
    if named:
        said = refused(tmp_path, frame, named=named, types={"clan": "category"})
        assert "applicants.clan: phone (in text), needed as it is" in said
    else:
        _, done = protected(tmp_path, frame, types={"clan": "category"})
        assert done["clan"][2] == "pseudonym"
    asked = {"types": {"clan": "category"}, "identifiers": {"clan": "pseudonym"}}
    _, done = protected(tmp_path, frame, named=named, **asked)
    assert done["clan"][2] == "pseudonym"


def test_a_consent_column_cannot_be_dropped(tmp_path):
    said = {"types": {"agreed": "flag"}, "consent": "agreed", "identifiers": {"agreed": "drop"}}
    text = refused(tmp_path, applicants(3, agreed=1), **said)
    assert "applicants.agreed: declared (params), needed as it is" in text


def test_no_identifier_is_in_what_is_written(tmp_path):
    """Phones as ids, in a column that is read, in one that is not, and within texts."""
    frame = applicants(3, applicant_id=PHONES, mail=MAILS, phone=PHONES, contact=PHONES)
    rows = [{"applicant_id": phone, "service": mail} for phone, mail in zip(PHONES, MAILS, strict=True)]
    said = {"applicants": {"types": {"contact": "category"}}}
    taken = take(tmp_path, {"applicants": frame, "power": bills(*rows)}, sources=said, key=KEY)
    assert taken.rows("power").height == 3
    assert taken.rows("power")["service"].str.len_bytes().to_list() == [16] * 3
    written = [*(tmp_path / "kept").rglob("*.parquet"), *(tmp_path / "staged").rglob("*.parquet")]
    for file in written:
        text = str(pl.read_parquet(file).rows())
        assert not any(value in text for value in [*PHONES, *MAILS])
    assert not any(value in str(taken.identifiers.rows()) for value in [*PHONES, *MAILS])
