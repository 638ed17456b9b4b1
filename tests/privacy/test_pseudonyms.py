"""Pseudonyms are keyed, repeatable and told apart."""

import hashlib
import hmac

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataError, ParamsError
from workbench.privacy.pseudonyms import key_check, pseudonymise, pseudonymise_text, read_key

KEY = b"0123456789abcdef"
OTHER = b"0123456789abcdeg"


def by_hand(text: str) -> int:
    return int.from_bytes(hmac.new(KEY, text.encode(), hashlib.sha256).digest()[:8], "big") >> 1


@given(st.lists(st.none() | st.text(max_size=12)))
def test_a_pseudonym_is_the_first_63_bits_of_the_hmac(ids):
    made = pseudonymise(pl.Series("applicant", ids, dtype=pl.String), KEY)
    assert made.name == "applicant"
    assert made.dtype == pl.Int64
    assert made.to_list() == [None if text is None else by_hand(text) for text in ids]


@given(st.lists(st.none() | st.text(max_size=12)))
def test_a_text_pseudonym_is_the_first_64_bits_in_hex(texts):
    made = pseudonymise_text(pl.Series("phone", texts, dtype=pl.String), KEY)
    assert made.dtype == pl.String
    for text, pseudonym in zip(texts, made, strict=True):
        assert pseudonym is None if text is None else int(pseudonym, 16) >> 1 == by_hand(text)
        assert pseudonym is None or len(pseudonym) == 16


def test_known_pseudonyms_stay_what_they_are():
    assert pseudonymise(pl.Series(["17", "A-1"]), KEY).to_list() == [by_hand("17"), by_hand("A-1")]
    assert pseudonymise_text(pl.Series(["17"]), KEY).to_list() == [
        hmac.digest(KEY, b"17", "sha256").hex()[:16]
    ]


def test_a_number_and_its_text_are_one_person_and_leading_zeros_are_not():
    numbers = pseudonymise(pl.Series([17, None, 17], dtype=pl.Int32), KEY).to_list()
    assert numbers == [by_hand("17"), None, by_hand("17")]
    categories = pl.Series(["17", None, "017"], dtype=pl.Categorical)
    assert pseudonymise(categories, KEY).to_list() == [by_hand("17"), None, by_hand("017")]


def test_another_key_gives_other_pseudonyms_and_another_check():
    ids = pl.Series(range(100))
    assert not set(pseudonymise(ids, KEY)) & set(pseudonymise(ids, OTHER))
    assert key_check(KEY) == key_check(KEY) != key_check(OTHER)
    assert len(key_check(KEY)) == 16


@pytest.mark.parametrize("dtype", [pl.Float64, pl.Boolean, pl.Date])
def test_ids_without_a_text_of_their_own_are_refused(dtype):
    with pytest.raises(DataError, match=rf"client: ids of type {dtype} .*\n.*read the column as text"):
        pseudonymise(pl.Series("client", [0, 1]).cast(dtype), KEY)


def test_two_ids_with_one_pseudonym_are_refused_by_their_count(monkeypatch):
    def short(_key, text, _name):
        return bytes(7) + bytes([text[-1] // 2 * 2])

    monkeypatch.setattr(hmac, "digest", short)
    for make in (pseudonymise, pseudonymise_text):
        with pytest.raises(DataError, match="client: 1 of 3 ids share a pseudonym") as caught:
            make(pl.Series("client", ["id4", "id5", "id6", "id6"]), KEY)
        assert "id5" not in str(caught.value)


def test_a_key_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("STUDY_KEY", "  0123456789abcdef\n")
    assert read_key("STUDY_KEY") == KEY


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (None, "not set"),
        ("", "not set"),
        ("  ", "not set"),
        ("secret789abcdef", "a key of 15 bytes, at least 16"),
    ],
)
def test_a_missing_or_short_key_says_how_to_make_one(monkeypatch, value, wrong):
    monkeypatch.delenv("STUDY_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("STUDY_KEY", value)
    with pytest.raises(ParamsError) as caught:
        read_key("STUDY_KEY")
    assert f"environment variable STUDY_KEY: {wrong}" in str(caught.value)
    assert "export STUDY_KEY=$(openssl rand -hex 32)" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_key_needs_the_name_of_a_variable():
    with pytest.raises(ParamsError, match="received no name"):
        read_key("")
