"""Encrypted tables: closed without the key, open with it, to Polars and to PyArrow."""

import polars as pl
import pytest
from pyarrow import parquet
from pyarrow.parquet.encryption import create_decryption_properties

from workbench.errors import ParamsError, RunError
from workbench.privacy.encryption import Cipher, open_cipher

ROWS = pl.DataFrame({"applicant_id": range(500), "telling_name": [f"plain text {n}" for n in range(500)]})


@pytest.fixture
def cipher(monkeypatch):
    monkeypatch.setenv("ROWS_KEY", "a key for the rows of a test")
    monkeypatch.setenv("OTHER_KEY", "another key, as long as that")
    return open_cipher("ROWS_KEY")


@pytest.fixture
def path(cipher, tmp_path):
    ROWS.write_parquet(tmp_path / "rows.parquet", **cipher.writing)
    return tmp_path / "rows.parquet"


def test_the_key_opens_the_file(cipher, path):
    cipher.check(path)
    assert pl.read_parquet(path, **cipher.reading).equals(ROWS)
    assert pl.scan_parquet(path, **cipher.reading).select("applicant_id").collect().height == 500
    ROWS.lazy().sink_parquet(path.with_name("sunk.parquet"), **cipher.writing)
    assert pl.read_parquet(path.parent, **cipher.reading).height == 1000


def test_no_key_and_another_key_do_not(path):
    with pytest.raises(RunError, match="encrypted, and the study names no key"):
        Cipher().check(path)
    with pytest.raises(RunError, match="encrypted with another key") as caught:
        open_cipher("OTHER_KEY").check(path)
    assert "set OTHER_KEY to the key that the run was made with" in str(caught.value)
    assert "another key, as" not in str(caught.value)


def test_neither_a_value_nor_a_column_name_is_in_the_bytes(path):
    content = path.read_bytes()
    assert b"plain text" not in content
    assert b"telling_name" not in content
    assert content.startswith(b"PARE")


def test_the_bytes_differ_at_every_write(cipher, path):
    again = path.with_name("again.parquet")
    ROWS.write_parquet(again, **cipher.writing)
    assert again.read_bytes() != path.read_bytes()


def test_pyarrow_reads_it_with_the_same_key(cipher, path):
    table = parquet.read_table(path, decryption_properties=create_decryption_properties(cipher.key))
    assert pl.DataFrame(table.to_pydict()).equals(ROWS)


def test_without_a_variable_nothing_is_encrypted(tmp_path):
    cipher = open_cipher("")
    ROWS.write_parquet(tmp_path / "rows.parquet", **cipher.writing)
    cipher.check(tmp_path / "rows.parquet")
    assert pl.read_parquet(tmp_path / "rows.parquet", **cipher.reading).equals(ROWS)


def test_plain_files_are_read_with_a_key_as_well(cipher, tmp_path):
    ROWS.write_parquet(tmp_path / "rows.parquet")
    cipher.check(tmp_path / "rows.parquet")


def test_a_truncated_file_is_not_taken_for_an_encrypted_one(cipher, path):
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RunError, match="not readable as Parquet"):
        cipher.check(path)


def test_a_flipped_byte_is_noticed(cipher, path):
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)
    with pytest.raises(pl.exceptions.ComputeError):
        pl.read_parquet(path, **cipher.reading)


def test_the_key_is_derived_and_never_shown(cipher):
    assert len(cipher.key) == 32
    assert cipher == open_cipher("ROWS_KEY") != open_cipher("OTHER_KEY")
    assert repr(cipher) == "Cipher(variable='ROWS_KEY')"
    # RFC 5869 with an empty salt: extract, then the first block of expand
    from hashlib import sha256
    from hmac import new

    extracted = new(b"\0" * 32, b"a key for the rows of a test", sha256).digest()
    assert new(extracted, b"workbench parquet encryption\x01", sha256).digest() == cipher.key


def test_a_key_that_is_not_there_stops_the_study(monkeypatch):
    monkeypatch.delenv("ROWS_KEY", raising=False)
    with pytest.raises(ParamsError, match="ROWS_KEY: not set"):
        open_cipher("ROWS_KEY")
