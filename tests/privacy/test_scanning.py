import json

import polars as pl

from tests.privacy.scanning import find_planted

PLANTED = ["wanjiku@example.org", "+254712345678", "Ødegård Müller"]


def test_planted_texts_are_found_in_every_kind_of_file(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    cells = pl.DataFrame({"a": ["x", "mail WANJIKU@example.org now"], "b": [1, 2]})
    cells.write_parquet(tmp_path / "deep" / "er" / "rows.parquet")
    (tmp_path / "log.txt").write_text("one\ncall +254712345678\n")
    (tmp_path / "escaped.json").write_text(json.dumps({"name": "Ødegård Müller"}))
    (tmp_path / "+254712345678.csv").write_text("")
    (tmp_path / "binary.bin").write_bytes(b"\xff\xfe\x00wanjiku@example.org\x00")
    (tmp_path / "clean.html").write_text("nothing to see, +25471234567")
    found = find_planted(tmp_path, PLANTED)
    assert set(found) == {
        "deep/er/rows.parquet",
        "log.txt",
        "escaped.json",
        "+254712345678.csv",
        "binary.bin",
    }


def test_compressed_and_nested_cells_and_numbers_are_read(tmp_path):
    rows = pl.DataFrame({"n": range(2000), "phone": [254712345678, *range(1999)]})
    rows.write_parquet(tmp_path / "numbers.parquet")
    pl.DataFrame({"l": [["a", "wanjiku@example.org"]] * 900}).write_parquet(tmp_path / "nested.parquet")
    pl.DataFrame({"l": [["a", "b"]], "t": ["c"]}).write_parquet(tmp_path / "clean.parquet")
    found = find_planted(tmp_path, ["wanjiku@example.org", "254712345678"])
    assert set(found) == {"numbers.parquet", "nested.parquet"}
    assert found["nested.parquet"] >= 900
