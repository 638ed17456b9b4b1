"""Sources as they really lie about: files, globs, other encodings, archives, databases; whole and damaged."""

import gzip
import http.server
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import threading
import zipfile
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest

from tests.data.making import source
from workbench.data.reading import read_stated, read_table, reading, scan_source
from workbench.errors import DataError

ROWS = {"applicant_id": [1, 2], "amount": [1.5, 2.5]}
SECRET = "Wanjiku"  # stands for a value that no error may quote
PEOPLE = ("O'Brien", "+254712345678", 'Jane "JJ" Wanjiku', "`O`", "'Anne'", "+254712345678 O'Brien")


def scan(tmp_path, path="a.csv", **values):
    made = source("topups", path=path, **values) if not values.get("query") else source("topups", **values)
    return scan_source("s", made, root=tmp_path, scratch=tmp_path / "scratch")


def rows(*words, **more):
    return scan(*words, **more).collect().rows()


def fault(*words, **more):
    """The whole text of the error that a source is refused with."""
    with pytest.raises(DataError) as caught, reading("s"):
        scan(*words, **more).collect()
    said = str(caught.value)
    assert not any(part in said for part in (SECRET, "Brien", "JJ", "Anne", "2547", "`"))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return said


def put(tmp_path, name, text, encoding="utf-8"):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = text if isinstance(text, bytes) else text.encode(encoding)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


# Files and globs


def test_parquet_keeps_its_types(tmp_path):
    pl.DataFrame(ROWS).write_parquet(tmp_path / "a.parquet")
    assert scan(tmp_path, "a.parquet").collect().equals(pl.DataFrame(ROWS))


def test_csv_is_read_as_text(tmp_path):
    put(tmp_path, "a.csv", "applicant_id,amount\n007,1.50\n")
    assert rows(tmp_path) == [("007", "1.50")]


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.jsonl.gz"])
def test_json_lines(tmp_path, name):
    put(tmp_path, name, '{"applicant_id": 1, "amount": 1.5}\n{"applicant_id": 2}\n')
    assert rows(tmp_path, name) == [(1, 1.5), (2, None)]


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_packed_csv(tmp_path, suffix):
    import pyarrow as pa

    packing = {"gz": "gzip", "zst": "zstd"}[suffix]
    with pa.output_stream(str(tmp_path / f"a.csv.{suffix}"), compression=packing) as stream:
        stream.write(b"applicant_id\n1\n")
    assert rows(tmp_path, f"a.csv.{suffix}") == [("1",)]


def test_a_format_may_be_said_where_the_suffix_does_not_tell(tmp_path):
    put(tmp_path, "export.txt", "applicant_id\n1\n")
    assert rows(tmp_path, "export.txt", format="csv") == [("1",)]
    assert "export.txt: suffix .txt: which format? set parquet, csv or jsonl" in fault(tmp_path, "export.txt")
    put(tmp_path, "export", "applicant_id\n1\n")
    assert "suffix none" in fault(tmp_path, "export")


def test_a_glob_is_all_its_files_in_the_order_of_their_names(tmp_path):
    for name, value in (("b", 2), ("a", 1), ("deep/c", 3)):
        put(tmp_path, f"in/{name}.csv", f"x\n{value}\n")
    assert rows(tmp_path, "in/*.csv") == [("1",), ("2",)]
    assert sorted(rows(tmp_path, "in/**/*.csv")) == [("1",), ("2",), ("3",)]


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    path = put(tmp_path, "a.csv", "x\n1\n")
    made = source(path=str(path))
    assert scan_source("s", made, root=Path("/nowhere"), scratch=tmp_path).collect().rows() == [("1",)]


def test_columns_of_parquet_may_stand_in_any_order(tmp_path):
    pl.DataFrame({"x": [1], "y": ["a"]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"y": ["b"], "x": [2]}).write_parquet(tmp_path / "b.parquet")
    assert rows(tmp_path, "*.parquet") == [(1, "a"), (2, "b")]


def test_a_missing_file_is_named_with_its_near_name(tmp_path):
    put(tmp_path, "bills.csv", "x\n1\n")
    said = fault(tmp_path, "bils.csv")
    assert "source s: bils.csv: no such file (did you mean bills.csv?)" in said
    assert "a file or glob below the repository, an absolute path, or a URL" in said
    assert "did you mean" not in fault(tmp_path, "nowhere/bils.csv")
    assert "no such file" in fault(tmp_path, "*.jsonl")


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "in.csv").mkdir()
    assert "in.csv: a folder, no file" in fault(tmp_path, "in.csv")
    assert "did you mean" not in fault(tmp_path, "im.csv")


# Damaged, empty, mixed


@pytest.mark.parametrize("size", [0, 3, 4, 300])
def test_a_truncated_parquet_file_is_refused(tmp_path, size):
    pl.DataFrame(ROWS).write_parquet(tmp_path / "whole.parquet")
    (tmp_path / "a.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:size])
    assert "a.parquet: unreadable, truncated, empty or no parquet" in fault(tmp_path, "a.parquet")


def test_a_parquet_file_without_its_last_byte_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pl.DataFrame(ROWS).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-1])
    assert "a.parquet: unreadable" in fault(tmp_path, "a.parquet")


def test_a_parquet_file_damaged_within_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"x": range(100_000)}).write_parquet(path)
    content = bytearray(path.read_bytes())
    content[2000:60_000] = os.urandom(58_000)
    path.write_bytes(content)
    assert "source s" in fault(tmp_path, "a.parquet")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.parquet", f"x\n{SECRET}\n", "a.parquet: unreadable, truncated, empty or no parquet"),
        ("a.csv", "", "a.csv: unreadable, truncated, empty or no csv"),
        ("a.csv", "x,y\n", "no rows; a source holds at least one"),
        ("a.jsonl", "", "a.jsonl"),
        ("a.jsonl", f'{{"x": "{SECRET}"', "a.jsonl: unreadable, truncated, empty or no jsonl"),
        ("a.jsonl", f'{{"x": 1}}\n{{"x": "{SECRET}', "a line that is no JSON, or cut off"),
        ("a.csv.gz", b"", "source s"),
    ],
)
def test_empty_and_foreign_files_are_refused(tmp_path, name, content, said):
    put(tmp_path, name, content)
    assert said in fault(tmp_path, name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", f"x,y\n1,2\n{SECRET},3,4\n"),
        ("a.csv", f'x,y\n1,"{SECRET}\n3,4\n'),
        ("a.jsonl", '{"x": 1}\n' * 11_000 + f'{{"x": "{SECRET}"}}\n'),
        ("a.jsonl", '{"x": 1}\n' * 11_000 + f'{{"x": {SECRET}'),
    ],
    ids=["more fields", "open quote", "late text", "cut off"],
)
def test_a_fault_far_down_is_a_data_error_too(tmp_path, name, content):
    put(tmp_path, name, content)
    assert "source s" in fault(tmp_path, name)


def quoted(value):
    return value.replace('"', '""')


@pytest.mark.parametrize("value", PEOPLE)
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "x,y\n1,2\n{csv},3,4\n", "ComputeError: ragged: a row has more fields than the header"),
        ("a.csv", 'x,y\n5,6\n1,"{csv}\n3,4\n', "ComputeError: bad quoting: a quote is never closed"),
        ("a.csv", 'x,y\n1,"{csv}"a\n3,4\n', "ComputeError: bad quoting"),
        ("a.jsonl", '{many}{{"x": {json}}}\n', "ComputeError: a value of another type than its column"),
        ("a.jsonl", '{many}{{"x": {{"y": {json}}}}}\n', "a value of another type"),
        ("a.jsonl", '{many}{{"x": {json}', "ComputeError: a line that is no JSON, or cut off"),
        ("a.jsonl", "{many}{value}\n", "ComputeError: a line that is no JSON, or cut off"),
    ],
    ids=["ragged", "open quote", "text after a quote", "other type", "nested", "cut off", "no JSON"],
)
def test_no_error_quotes_a_person(tmp_path, name, content, said, value):
    parts = {"csv": quoted(value), "json": json.dumps(value), "many": '{"x": 1}\n' * 11_000, "value": value}
    put(tmp_path, name, content.format(**parts))
    found = fault(tmp_path, name)
    assert said in found


def test_a_file_without_a_header_has_no_name_of_a_column_told(tmp_path):
    put(tmp_path, "a.csv", "O'Brien,+254712345678\nx,y\n")
    put(tmp_path, "b.csv", "Anne,1\nx,y\n")
    assert "b.csv: columns or types differ from a.csv in 4 other column(s)" in fault(tmp_path, "*.csv")


@pytest.mark.parametrize("left", [5, 20, 40])
def test_a_truncated_gz_file_is_refused(tmp_path, left):
    path = put(tmp_path, "a.csv.gz", "x\n" + "\n".join(map(str, range(100))))
    path.write_bytes(path.read_bytes()[:left])
    assert "a.csv.gz: unreadable or truncated" in fault(tmp_path, "a.csv.gz")


def test_faults_of_all_files_are_named_at_once(tmp_path):
    for name in ("a", "b"):
        put(tmp_path, f"{name}.parquet", "no parquet")
    pl.DataFrame(ROWS).write_parquet(tmp_path / "c.parquet")
    said = fault(tmp_path, "*.parquet")
    assert "2 file(s) at fault" in said
    assert "a.parquet: unreadable" in said
    assert "b.parquet: unreadable" in said


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"applicant_id": [1], "amount": ["1.5"]}, "in amount"),
        ({"applicant_id": [1]}, "in amount"),
        ({"applicant_id": [1], "amount": [1.5], "more": [1]}, "in 1 other column(s)"),
    ],
    ids=["type", "missing", "more"],
)
def test_mixed_schemas_in_a_glob_are_refused(tmp_path, second, said):
    pl.DataFrame(ROWS).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame(second).write_parquet(tmp_path / "b.parquet")
    assert f"b.parquet: columns or types differ from a.parquet {said}" in fault(tmp_path, "*.parquet")


def test_csv_files_with_columns_in_another_order_are_refused(tmp_path):
    put(tmp_path, "a.csv", "x,y\n1,2\n")
    put(tmp_path, "b.csv", "y,x\n1,2\n")
    assert "b.csv: columns or types differ from a.csv in their order" in fault(tmp_path, "*.csv")


def test_fields_without_commas_are_refused(tmp_path):
    put(tmp_path, "a.csv", f"applicant_id;event_time;amount\n{SECRET};2025-01-01;5\n")
    assert "a.csv: one column only; are its fields separated by commas?" in fault(tmp_path, "a.csv")


def test_files_of_several_formats_are_refused(tmp_path):
    put(tmp_path, "a.csv", "x\n1\n")
    put(tmp_path, "a.jsonl", '{"x": 1}\n')
    assert "files of several formats: csv, jsonl" in fault(tmp_path, "a.*")


# Encodings


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_another_encoding_is_read_when_it_is_named(tmp_path, encoding, name):
    put(tmp_path, name, "name\ncafé\nZürich\n", encoding)
    assert rows(tmp_path, name, encoding=encoding) == [("café",), ("Zürich",)]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl"])
def test_another_encoding_is_refused_with_advice_when_it_is_not_named(tmp_path, encoding, name):
    text = '{"name": "café"}\n' if name == "a.jsonl" else "name\ncafé\n"
    put(tmp_path, name, text, encoding)
    said = fault(tmp_path, name)
    assert "text in another encoding" in said
    assert f"{name}: not in utf-8; set encoding, such as latin-1 or cp1252 or utf-16" in said


def test_a_letter_cut_in_two_by_a_block_is_whole(tmp_path):
    put(tmp_path, "a.csv", "x\n" + "a" * (2**20 - 3) + "é\n")
    assert rows(tmp_path)[0][0].endswith("aé")


def test_a_letter_cut_off_at_the_end_is_refused(tmp_path):
    put(tmp_path, "a.csv", "x\ncafé".encode()[:-1])
    assert "a.csv: not in utf-8" in fault(tmp_path)


def test_an_unknown_encoding_is_refused(tmp_path):
    put(tmp_path, "a.csv", "x\n1\n")
    assert "encoding 'klingon' is unknown" in fault(tmp_path, encoding="klingon")


def test_lines_of_a_converted_file_stay_as_they_are(tmp_path):
    put(tmp_path, "a.csv", 'x,y\r\n"é\r\nb",2\r\n', "latin-1")
    assert rows(tmp_path, encoding="latin-1") == [("é\r\nb", "2")]


# URLs


def test_a_file_url(tmp_path):
    put(tmp_path, "a.csv", "x\n1\n")
    put(tmp_path, "b.csv", "x\n2\n")
    assert rows(tmp_path, f"file://{tmp_path}/a.csv") == [("1",)]
    assert rows(tmp_path, f"file://{tmp_path}/*.csv") == [("1",), ("2",)]


def test_a_glob_within_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/a.csv", "x\n1\n")
        archive.writestr("in/b.csv", "x\n2\n")
        archive.writestr("in/readme.txt", "no table")
    url = f"zip://in/*.csv::file://{tmp_path}/a.zip"
    assert rows(tmp_path, url) == [("1",), ("2",)]
    assert "nothing at the URL" in fault(tmp_path, url.replace("in/", "out/"))


def test_a_url_may_come_from_the_environment(tmp_path, monkeypatch):
    put(tmp_path, "a.csv", "x\n1\n")
    monkeypatch.setenv("BILLS_URL", f"file://{tmp_path}/a.csv")
    assert rows(tmp_path, "$BILLS_URL") == [("1",)]
    monkeypatch.delenv("BILLS_URL")
    assert "environment variable BILLS_URL is not set" in fault(tmp_path, "$BILLS_URL")


@pytest.mark.parametrize("url", ["file://{}/none.csv", "zip://a.csv::file://{}/bad.zip", "klingon://a/b.csv"])
def test_a_url_that_cannot_be_read(tmp_path, url):
    put(tmp_path, "bad.zip", "no archive")
    assert "source s: the URL cannot be read" in fault(tmp_path, url.format(tmp_path))


class Presigned(http.server.BaseHTTPRequestHandler):
    """Serves one CSV file to whoever has the signature, and half of another."""

    def do_GET(self):
        path, _, query = self.path.partition("?")
        known = query == f"X-Amz-Signature={SECRET}&name=*.csv"
        content = b"x\n1\n"
        self.send_response(200 if known else 403)
        self.send_header("Content-Length", str(len(content) * (3 if "half" in path else 1)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words):
        """Say nothing."""


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Presigned) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()


def test_a_presigned_url_is_read_and_its_signature_is_no_name_of_a_file(tmp_path, server, monkeypatch):
    monkeypatch.setenv("BILLS", f"{server}/in/{SECRET}/a.csv?X-Amz-Signature={SECRET}&name=*.csv")
    assert rows(tmp_path, "$BILLS") == [("1",)]
    files = [path.name for path in (tmp_path / "scratch").rglob("*") if path.is_file()]
    assert files == ["0000.csv"]


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("a.csv", "X-Amz-Signature=other", "HTTPError: the server answered with status 403"),
        ("a.half.csv", f"X-Amz-Signature={SECRET}&name=*.csv", "EOFError: truncated"),
        (SECRET, f"X-Amz-Signature={SECRET}&name=*.csv", "0000: suffix none: which format?"),
    ],
)
def test_no_error_quotes_an_address(tmp_path, server, monkeypatch, path, query, said):
    monkeypatch.setenv("BILLS", f"{server}/{SECRET}/{path}?{query}")
    found = fault(tmp_path, "$BILLS")
    assert said in found
    assert "127.0.0.1" not in found


def test_a_server_that_does_not_answer_is_not_named(tmp_path, monkeypatch):
    monkeypatch.setenv("BILLS", f"http://127.0.0.1:1/a.csv?key={SECRET}")
    assert fault(tmp_path, "$BILLS").endswith("ConnectionRefusedError: no connection")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://{}:x@bucket/a.csv", "ImportError: needs the Python package s3fs, which is not installed"),
        ("gs://{}/a.csv", "ImportError: needs the Python package gcsfs, which is not installed"),
        ("klingon://{}/a.csv", "ValueError: an unknown protocol"),
        ("file:///none/{}.csv", "FileNotFoundError: not found"),
    ],
)
def test_what_an_address_lacks_is_said_without_the_address(tmp_path, monkeypatch, url, said):
    if "package" in said and find_spec(said.split("package ")[1].split(",")[0]):
        pytest.skip("the package is installed")
    monkeypatch.setenv("BILLS", url.format(SECRET))
    assert said in fault(tmp_path, "$BILLS")


def test_what_is_fetched_lies_in_the_scratch_folder(tmp_path):
    put(tmp_path, "a.csv", "x\n1\n")
    rows(tmp_path, f"file://{tmp_path}/a.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "scratch"}


# SQL


@pytest.fixture
def database(tmp_path):
    with sqlite3.connect(tmp_path / "bank.db") as connection:
        connection.execute("CREATE TABLE topups (id INTEGER, at TEXT, amount REAL)")
        rows = [(1, "2025-01-01", 1.5), (2, None, None)]
        connection.executemany("INSERT INTO topups VALUES (?, ?, ?)", rows)
    connection.close()
    return "sqlite:///bank.db"


def test_a_query_to_sqlite(tmp_path, database):
    query = "SELECT id AS applicant_id, at AS event_time, amount FROM topups ORDER BY id"
    found = rows(tmp_path, path="", query=query, database=database)
    assert found == [(1, "2025-01-01", 1.5), (2, None, None)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT naught FROM topups", "query refused: no such column"),
        ("SELECT * FROM truncated", "query refused: no such table"),
        ("SELECT naught(1)", "query refused: no such function"),
        ("SELEC", "query refused: syntax"),
        ("SELECT id FROM topups WHERE", "query refused: syntax"),
        (f"SELECT abs('{SECRET}', 1)", "the query failed"),
        ("SELECT * FROM topups WHERE id > 5", "no rows"),
    ],
)
def test_a_query_that_fails(tmp_path, database, query, said):
    assert said in fault(tmp_path, path="", query=query, database=database)


@pytest.mark.parametrize("value", PEOPLE)
def test_no_error_of_a_query_quotes_a_person(tmp_path, database, value):
    with sqlite3.connect(tmp_path / "bank.db") as connection:
        connection.execute("CREATE TABLE people (name)")
        numbers = [(n,) for n in range(3_000)]
        connection.executemany("INSERT INTO people VALUES (?)", [*numbers, (value,)])
    connection.close()
    said = fault(tmp_path, path="", query="SELECT name FROM people", database=database)
    assert said.endswith("OSError: a value of another type than its column")
    literal = value.replace("'", "''")
    for query, why in (
        (f"SELECT abs('{literal}', 1)", ""),
        (f"SELECT naught FROM people WHERE name = '{literal}'", ": no such column"),
        (f"SELECT name FROM people WHERE '{literal}' SELEC", ": syntax"),
    ):
        said = fault(tmp_path, path="", query=query, database=database)
        assert said.endswith(f"ProgrammingError: query refused{why}")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("sqlite:///none.db", "no such SQLite file"),
        ("oracle://host/db", "write postgresql://... or sqlite:///file.db, or $NAME"),
        ("$NO_SUCH_DATABASE", "environment variable NO_SUCH_DATABASE is not set"),
    ],
)
def test_a_database_that_cannot_be_opened(tmp_path, address, said):
    assert said in fault(tmp_path, path="", query="SELECT 1", database=address)


def test_a_database_that_is_no_database(tmp_path):
    put(tmp_path, "bank.db", "no database, but long enough to be looked at by the driver")
    assert "the query failed" in fault(tmp_path, path="", query="SELECT 1", database="sqlite:///bank.db")


def binaries():
    """The folder of PostgreSQL's server programs, where there is one."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((place for place in reversed(places) if (place / "initdb").is_file()), None)


@pytest.fixture(scope="module")
def postgres():
    """A PostgreSQL server of its own with a table, on a free port of this machine."""
    from adbc_driver_postgresql import dbapi

    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to the server's user
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    user = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, "nobody", "nogroup")
    data = folder / "data"

    def call(*words):
        done = subprocess.run(
            list(map(str, words)), cwd=folder, capture_output=True, text=True, timeout=60, check=False, **user
        )
        assert done.returncode == 0, done.stdout + done.stderr

    call(
        programs / "initdb", "-D", data, "-A", "trust", "-U", "bank", "-E", "UTF8", "--no-sync", "--locale=C"
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    call(programs / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start")
    try:
        address = f"postgresql://bank@127.0.0.1:{port}/postgres"
        with dbapi.connect(address, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE topups (id bigint, at timestamptz, amount numeric(12, 2), note text)"
            )
            cursor.execute(
                "INSERT INTO topups VALUES (1, '2025-01-01 12:00+03', 1.5, 'x'), (2, NULL, NULL, NULL)"
            )
            cursor.execute(f"CREATE TABLE names AS SELECT '{SECRET}' AS note")
        yield address
    finally:
        call(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def test_a_query_to_postgresql(tmp_path, postgres):
    from workbench.data.standard import standardise

    query = "SELECT id AS applicant_id, at AS event_time, amount FROM topups ORDER BY id"
    made = source("topups", query=query, database=postgres)
    raw = scan_source("s", made, root=tmp_path, scratch=tmp_path)
    table = standardise("s", made, raw).table.collect()
    assert table["applicant_id"].to_list() == ["1", "2"]
    assert [str(time) for time in table["event_time"]] == ["2025-01-01 09:00:00", "None"]
    assert table["amount"].to_list() == [150, None]


def test_the_address_of_a_database_comes_from_the_environment(tmp_path, postgres, monkeypatch):
    monkeypatch.setenv("BANK", postgres)
    assert rows(tmp_path, path="", query="SELECT note FROM topups ORDER BY id", database="$BANK") == [
        ("x",),
        (None,),
    ]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT naught FROM topups", "syntax, table, column or right (SQLSTATE 42703)"),
        ("SELECT note::int FROM names", "OSError: a value of another type than its column"),
        ("SELEC", "syntax, table, column or right (SQLSTATE 42601)"),
    ],
    ids=["column", "value", "syntax"],
)
def test_a_query_that_fails_in_postgresql(tmp_path, postgres, query, said):
    found = fault(tmp_path, path="", query=query, database=postgres)
    assert "source s: the query failed" in found
    assert said in found


def test_a_server_that_is_not_there(tmp_path):
    address = "postgresql://bank@127.0.0.1:1/postgres"
    said = fault(tmp_path, path="", query="SELECT 1", database=address)
    assert "source s: the query failed" in said
    assert said.endswith(": no connection")


# Tables that the study is compared with


def test_a_table_is_read_from_csv_and_parquet(tmp_path):
    assert read_table("data.truth", "", tmp_path, columns=["a"]) is None
    table = pl.DataFrame({"attribute": ["sex"], "group": ["female"], "share": [0.5]})
    table.write_csv(tmp_path / "a.csv")
    table.write_parquet(tmp_path / "a.parquet")
    assert read_table("data.truth", "a.csv", tmp_path, columns=["a"]).equals(table)
    assert read_table("data.truth", "a.parquet", tmp_path, columns=["a"]).equals(table)


@pytest.mark.parametrize("name", ["none.csv", "none.parquet", "bad.parquet"])
def test_a_table_that_cannot_be_read(tmp_path, name):
    put(tmp_path, "bad.parquet", "no parquet")
    with pytest.raises(DataError, match=f"data.reference {name}: not readable") as caught:
        read_table("data.reference", name, tmp_path, columns=["attribute", "share"])
    assert list(caught.value.faults) == ["attribute, share"]


def test_what_is_stated_of_a_table_stands_beside_it(tmp_path):
    (tmp_path / "truth.json").write_text('{"seed": 1}', encoding="utf-8")
    assert read_stated("truth.parquet", tmp_path) == {"seed": 1}
    assert read_stated("other.parquet", tmp_path) == {}
    assert read_stated("", tmp_path) == {}


@pytest.mark.parametrize("content", [b"[1]", b"{", b"\xff"])
def test_what_is_stated_must_be_a_json_object(tmp_path, content):
    (tmp_path / "truth.json").write_bytes(content)
    with pytest.raises(DataError, match=r"truth.json, beside truth.parquet: no JSON object"):
        read_stated("truth.parquet", tmp_path)
