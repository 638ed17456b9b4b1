import hashlib
import json
import os
import subprocess

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import RunError
from workbench.store import digest, digest_files, read_json, sha256, write_json, write_whole

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def full_disk(tmp_path):
    """A real file system of 64 KiB, or a skip where mounting is not allowed."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        mounted = False
    if not mounted or mounted.returncode:
        pytest.skip("a file system of its own cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_file_is_whole_when_it_is_there(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    write_whole(path, lambda temporary: temporary.write_text("whole"))
    assert path.read_text() == "whole"
    assert names(path.parent) == ["a.txt"]


def test_the_temporary_file_is_beside_the_target_and_keeps_its_suffix(tmp_path):
    seen = []
    write_whole(tmp_path / "a.parquet", seen.append)
    assert seen[0].parent == tmp_path
    assert seen[0].suffix == ".parquet"
    assert seen[0].name.startswith(".")


def test_a_written_file_can_be_read_by_others(tmp_path):
    write_whole(tmp_path / "a.txt", lambda temporary: temporary.write_text("x"))
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("fault", [ValueError("broken"), KeyboardInterrupt()])
def test_a_writer_that_raises_leaves_the_old_file_and_nothing_else(tmp_path, fault):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(temporary):
        temporary.write_text("half of the new")
        raise fault

    with pytest.raises(type(fault)):
        write_whole(path, write)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_writer_that_raises_on_a_new_file_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        write_whole(tmp_path / "a.txt", lambda temporary: temporary.write_text("x") and 1 / 0)
    assert names(tmp_path) == []


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    seen = []

    def write(temporary):
        temporary.write_text("new")
        seen.append(path.read_text())

    write_whole(path, write)
    assert seen == ["old"]
    assert path.read_text() == "new"


def test_a_disk_that_refuses_is_a_run_error(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(temporary):
        with open("/dev/full", "w") as stream:  # noqa: PTH123
            stream.write("x" * 100_000)

    with pytest.raises(RunError, match=r"a\.txt: not written \(No space left on device\)") as caught:
        write_whole(path, write)
    assert caught.value.faults == ("what was there before is unchanged",)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_leaves_the_old_file(full_disk):
    path = full_disk / "a.bin"
    write_whole(path, lambda temporary: temporary.write_bytes(b"old"))
    with pytest.raises(RunError, match="No space left on device"):
        write_whole(path, lambda temporary: temporary.write_bytes(os.urandom(200_000)))
    assert path.read_bytes() == b"old"
    assert names(full_disk) == ["a.bin"]


def test_a_full_disk_under_a_parquet_writer_is_a_run_error(full_disk):
    path = full_disk / "a.parquet"
    table = pl.DataFrame({"x": list(os.urandom(200_000))})
    with pytest.raises(RunError, match="No space left on device"):
        write_whole(path, table.write_parquet)
    assert names(full_disk) == []


def test_a_folder_that_is_a_file_is_a_run_error(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(RunError):
        write_whole(tmp_path / "a" / "b.txt", lambda temporary: temporary.write_text("x"))


def test_a_hash_is_of_the_bytes(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    assert sha256(path) == hashlib.sha256(b"abc").hexdigest()


@given(st.dictionaries(st.text(), JSON, min_size=2, max_size=6))
def test_a_digest_does_not_depend_on_the_order_of_keys(values):
    reversed_keys = dict(reversed(values.items()))
    assert digest(values) == digest(reversed_keys)
    assert digest({"inner": values}) == digest({"inner": reversed_keys})


@given(JSON, JSON)
def test_different_values_have_different_digests(first, second):
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (digest(first) == digest(second)) == same


def test_a_digest_depends_on_the_order_and_the_borders_of_its_parts():
    assert digest("a", "b") != digest("b", "a")
    assert digest("ab", "c") != digest("a", "bc")
    assert digest([1, 2]) != digest([2, 1])


def test_a_digest_of_files_is_of_their_names_and_contents(tmp_path):
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("x")
    second.write_text("y")
    start = digest_files([first, second], tmp_path)
    assert digest_files([second, first], tmp_path) == start
    assert digest_files([first], tmp_path) != start
    second.write_text("z")
    changed = digest_files([first, second], tmp_path)
    assert changed != start
    second.write_text("y")
    second.rename(tmp_path / "c.txt")
    assert digest_files([first, tmp_path / "c.txt"], tmp_path) not in (start, changed)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_json_comes_back_as_it_was_written(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("json") / "a.json"
    write_json(path, values)
    assert read_json(path) == values


def test_json_keeps_the_order_of_keys_and_ends_with_a_line(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": "é"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n "b": 1,\n "a": "é"\n}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_is_no_number_and_keeps_the_old_file(tmp_path, value):
    write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": value})
    assert read_json(tmp_path / "a.json") == {"x": 1}
    assert names(tmp_path) == ["a.json"]


def test_missing_json_is_a_run_error(tmp_path):
    with pytest.raises(RunError, match="no such file"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe\x00", b"not json"])
def test_truncated_or_edited_json_is_a_run_error(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(RunError, match="not readable as JSON, truncated or edited"):
        read_json(tmp_path / "a.json")
