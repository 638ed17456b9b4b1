"""Batches: every row once whatever dies, the same bytes by every engine, mistakes told first."""

import json
import os
import signal
import subprocess
import time

import polars as pl
import pytest
from filelock import FileLock

from tests.pipeline.running import call_here, command, refused
from tests.scoring.making import NAMES, applicants
from workbench.engine import choose_engine
from workbench.errors import RunError
from workbench.params import ROOT
from workbench.scoring.tables import decision_table
from workbench.serving.batch import BATCH, scan_batch, score_batch
from workbench.serving.opening import OpenedBundle, open_bundle

CPU = choose_engine("cpu")


@pytest.fixture(scope="module")
def opened(bundle):
    return open_bundle(bundle)


@pytest.fixture
def inputs(tmp_path):
    folder = tmp_path / "inputs"
    (folder / "b").mkdir(parents=True)
    applicants().head(1700).write_parquet(folder / "a.parquet")
    applicants().tail(1300).write_parquet(folder / "b" / "c.parquet")
    return folder


def parts(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def test_it_decides_as_one_table_in_the_order_of_the_rows(opened, inputs, tmp_path):
    done = score_batch(opened, [inputs], tmp_path / "out", name="x", engine=CPU, part_rows=1000)
    found = scan_batch(tmp_path / "out").collect()
    assert found.equals(decision_table(opened.frozen, applicants()))
    assert [part["rows"] for part in done.about["parts"]] == [1000, 700, 1000, 300]
    assert sum(done.about["decisions"].values()) == done.rows == 3000
    metadata = pl.read_parquet_metadata(tmp_path / "out" / "part-00000.parquet")
    assert metadata["bundle_sha256"] == opened.sha256


def test_without_reasons_there_are_none(opened, inputs, tmp_path):
    score_batch(opened, [inputs], tmp_path / "out", name="x", engine=CPU, reasons=False)
    found = scan_batch(tmp_path / "out").collect()
    assert found.equals(decision_table(opened.frozen, applicants(), reasons=False))


def test_dask_gives_the_same_bytes(opened, inputs, tmp_path):
    for name, engine in (("cpu", CPU), ("dask", choose_engine("dask"))):
        score_batch(opened, [inputs], tmp_path / name, name="x", engine=engine, part_rows=1000, threads=1)
    assert parts(tmp_path / "dask") == parts(tmp_path / "cpu")


def test_again_nothing_is_done_again(opened, inputs, tmp_path):
    score_batch(opened, [inputs], tmp_path / "out", name="x", engine=CPU, part_rows=1000)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    del before[tmp_path / "out" / ".in_use.lock"]
    again = score_batch(opened, [inputs], tmp_path / "out", name="x", engine=CPU, part_rows=1000)
    assert again.resumed == 4
    assert {path: path.stat().st_mtime_ns for path in before if path.suffix == ".parquet"} == {
        path: stamp for path, stamp in before.items() if path.suffix == ".parquet"
    }


def test_a_damaged_part_is_made_again(opened, inputs, tmp_path):
    out = tmp_path / "out"
    score_batch(opened, [inputs], out, name="x", engine=CPU, part_rows=1000)
    whole = parts(out)
    (out / "part-00001.parquet").write_bytes(whole["part-00001.parquet"][:-1])
    with pytest.raises(RunError, match="not as it was written"):
        scan_batch(out)
    (out / "part-00002.json").unlink()
    again = score_batch(opened, [inputs], out, name="x", engine=CPU, part_rows=1000)
    assert again.resumed == 2
    assert parts(out) == whole


def test_a_killed_batch_goes_on_and_has_every_row_once(bundle, opened, tmp_path):
    rows = pl.concat([applicants()] * 40).with_columns(applicant_id=pl.int_range(pl.len()))
    rows.write_parquet(tmp_path / "in.parquet")
    words = command("score", bundle, tmp_path / "in.parquet", "-o", tmp_path / "out", "--part-rows", 1000)
    started = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "out").glob("*.json"))) < 12:  # batch.json and some parts
        assert started.poll() is None, started.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(started.pid, signal.SIGKILL)
    started.communicate()
    with pytest.raises(RunError, match="not complete"):
        scan_batch(tmp_path / "out")
    there = len(list((tmp_path / "out").glob("part-*.json")))
    assert there < 120
    done = call_here(words)
    assert done.returncode == 0, done.stderr
    assert "part(s) were there already" in done.stdout
    found = scan_batch(tmp_path / "out").collect()
    assert found["applicant_id"].to_list() == list(range(120_000))
    assert found.equals(decision_table(opened.frozen, rows))
    assert not list((tmp_path / "out").glob(".*.parquet"))


def test_repeated_ids_are_told(bundle, tmp_path):
    pl.concat([applicants().head(5), applicants().head(2)]).write_parquet(tmp_path / "in.parquet")
    done = call_here(command("score", bundle, tmp_path / "in.parquet", "-o", tmp_path / "out"))
    assert "2 rows repeat an applicant_id" in done.stdout


def test_another_batch_in_the_folder_is_refused_and_kept(opened, bundle, inputs, tmp_path):
    out = tmp_path / "out"
    score_batch(opened, [inputs], out, name="march", engine=CPU)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (tmp_path / "other.parquet").write_bytes((inputs / "a.parquet").read_bytes())
    done = call_here(command("score", bundle, tmp_path / "other.parquet", "-o", out, "--name", "march"))
    refused(done, "holds another batch (march)", "inputs differs", "name another folder")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_files_of_somebody_else_are_not_overwritten(opened, inputs, tmp_path):
    with pytest.raises(RunError, match="no batch wrote"):
        score_batch(opened, [inputs], inputs, name="x", engine=CPU)


def test_two_at_once_are_told(opened, inputs, tmp_path):
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".in_use.lock"), pytest.raises(RunError, match="another process"):
        score_batch(opened, [inputs], tmp_path / "out", name="x", engine=CPU)


def test_mistakes_are_told_and_nothing_is_made(bundle, tmp_path):
    rows, path = applicants().drop("late").with_columns(ratio=pl.lit("a")), tmp_path / "in.parquet"
    rows.write_parquet(path)
    done = call_here(command("score", bundle, path, "-o", tmp_path / "out"))
    refused(done, "late is missing", "ratio is String")
    path.write_bytes(path.read_bytes()[:-20])
    refused(call_here(command("score", bundle, path, "-o", tmp_path / "out")), "not readable as Parquet")
    refused(call_here(command("score", bundle, tmp_path / "no", "-o", tmp_path / "out")), "no such file")
    (tmp_path / "empty").mkdir()
    done = call_here(command("score", bundle, tmp_path / "empty", "-o", tmp_path / "out"))
    refused(done, "no Parquet files")
    refused(call_here(command("score", bundle, path, "-o", path)), "is a file")
    assert not (tmp_path / "out").exists()


def test_a_bundle_with_one_byte_changed_is_refused(bundle, inputs, tmp_path):
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "b.zip").write_bytes(content)
    done = call_here(command("score", tmp_path / "b.zip", inputs, "-o", tmp_path / "out"))
    refused(done, "b.zip")
    done = call_here(command("score", bundle, inputs, "-o", tmp_path / "out", "--sha256", "0" * 64))
    refused(done, "is another one")


def test_an_empty_file_gives_an_empty_batch(opened, tmp_path):
    applicants().clear().write_parquet(tmp_path / "in.parquet")
    done = score_batch(opened, [tmp_path / "in.parquet"], tmp_path / "out", name="x", engine=CPU)
    assert (done.rows, done.about["parts"]) == (0, [])


def test_rows_are_encrypted_as_the_run_s_are(opened, inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("SCORE_KEY", "a secret that is long enough to be one")
    mine = OpenedBundle(opened.frozen, opened.sha256, opened.path, "SCORE_KEY")
    score_batch(mine, [inputs], tmp_path / "out", name="x", engine=CPU)
    found = scan_batch(tmp_path / "out", encryption_key="SCORE_KEY").collect()
    assert found.equals(decision_table(opened.frozen, applicants()))
    content = (tmp_path / "out" / "part-00000.parquet").read_bytes()
    assert content[:4] == b"PARE"
    assert not any(name.encode() in content for name in NAMES)


def test_the_log_says_what_decided_what_and_when(opened, inputs, tmp_path):
    score_batch(opened, [inputs], tmp_path / "out", name="x", engine=CPU)
    about = json.loads((tmp_path / "out" / BATCH).read_text())
    assert about["bundle_sha256"] == opened.sha256
    assert [len(file["sha256"]) for file in about["inputs"]] == [64, 64]
    assert all(part["decided_at"].endswith("Z") for part in about["parts"])
    assert about["evidence"] == {"study": "made up"}
