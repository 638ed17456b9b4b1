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


def protected(tmp_path, frame, key=KEY, **said):
    """The applicants' table after protection, and what was done with each column."""
    frame.write_parquet(tmp_path / "applicants.parquet")
    declared = {"applicants": source("applicants", path="applicants.parquet", **said)}
    opened = intake.open_sources(declared, root=tmp_path, scratch=tmp_path)
    safe, table = protect(opened, key)
    done = {
        row["column"]: (row["identifier"], row["found_by"], row["action"])
        for row in table.iter_rows(named=True)
    }
    return safe["applicants"].standard, done


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
    )
    assert not any(value in str(caught.value) for value in [*PHONES, *MAILS])


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
