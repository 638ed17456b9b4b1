"""No run leaves a raw identifier behind, in its folder or in the temporary one, however it ends."""

import os
import shutil
import sqlite3
import subprocess

import pytest
import yaml

from tests.pipeline.running import Started, call, command, smoke
from tests.privacy.scanning import find_planted
from workbench.params import ROOT

PLANTED = ["O'Brien Wanjiku", "254712345", "0712-555-1", "obrien.w@example.org"]
KEYS = {"PSEUDONYMS": "a-key-of-the-tests-1", "SECRET": "a-key-of-the-tests-2"}


@pytest.fixture
def study(tmp_path):
    """Applicants and bills in SQLite, texts in another encoding; phones as ids; a bill out of contract."""
    with sqlite3.connect(tmp_path / "bank.db") as connection:
        connection.execute("CREATE TABLE people (phone, name, mail, applied, bad, sex)")
        connection.execute("CREATE TABLE bills (phone, payer, due, paid, amount)")
        for n in range(300):
            phone = f"254712345{n:03}"
            person = (phone, PLANTED[0], PLANTED[3], "2025-06-01", n % 2, "female" if n % 3 else "male")
            connection.execute("INSERT INTO people VALUES (?, ?, ?, ?, ?, ?)", person)
            bill = (phone, f"0712-555-1{n:02}", "2025-03-01", "2025-03-02", -1 if n == 7 else 20)
            connection.execute("INSERT INTO bills VALUES (?, ?, ?, ?, ?)", bill)
    connection.close()
    lines = [f"254712345{n:03},2025-03-01,{PLANTED[0]} café" for n in range(300)]
    (tmp_path / "posts.csv").write_bytes("\n".join(["phone,at,text", *lines]).encode("latin-1"))
    database = f"sqlite:///{tmp_path / 'bank.db'}"
    values = yaml.safe_load((ROOT / "params" / "smoke.yaml").read_text(encoding="utf-8"))
    values |= {"study": "kept", "pseudonym_key": "PSEUDONYMS", "encryption_key": "SECRET"}
    values["data"]["sources"] = {
        "applicants": {
            "kind": "applicants", "query": "SELECT * FROM people", "database": database,
            "data_category": "credit_terms", "types": {"sex": "category", "mail": "category"},
            "columns": {"applicant_id": "phone", "application_time": "applied", "default": "bad"},
        },
        "power": {
            "kind": "bills", "query": "SELECT * FROM bills", "database": database, "data_category": "utility",
            "columns": {"applicant_id": "phone", "event_time": "due", "paid_time": "paid",
                        "amount_due": "amount", "service": "payer"},
            "contract": {"amount_due": {"minimum": 0}},
        },
        "posts": {
            "kind": "posts", "path": str(tmp_path / "posts.csv"), "encoding": "latin-1",
            "data_category": "social_media", "columns": {"applicant_id": "phone", "event_time": "at"},
        },
    }  # fmt: skip
    values["data"] |= {"applicants": 0, "protected": ["sex"], "application_date": ""}
    values["data"]["severity"] |= {"duplicate": "warn"}
    values["features"]["selected"] = ["power_count_365"]
    values["validation"]["stress"] = {}
    values["explanation"] |= {"actionable": {}, "languages": []}
    values["fairness"] |= {"attributes": ["sex"], "reference_groups": {"sex": "male"}, "legitimate": []}
    values["fairness"] |= {"intersection_depth": 1, "alternatives_for": "sex"}
    path = tmp_path / "kept.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def run(study, tmp_path, *words):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    words = command("run", study, "--runs", tmp_path / "runs", "--only", "data", *words)
    environment = os.environ | KEYS | {"TMPDIR": str(temporary)}
    return subprocess.run(
        words, capture_output=True, text=True, timeout=200, cwd=ROOT, env=environment, check=False
    )


@pytest.mark.parametrize("key", ["SECRET", ""])
def test_a_run_that_quality_stops_leaves_no_identifier(study, tmp_path, key):
    done = run(study, tmp_path, "--set", f"encryption_key='{key}'")
    assert done.returncode == 1
    assert "out_of_contract" in done.stderr, done.stderr
    assert not any(text in done.stdout + done.stderr for text in PLANTED)
    assert find_planted(tmp_path / "runs", PLANTED) == {}
    assert (tmp_path / "runs" / "kept" / "data" / "notebook.ipynb").is_file()
    assert not (tmp_path / "runs" / "kept" / "data" / ".scratch").exists()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_run_that_completes_leaves_none_either(study, tmp_path):
    done = run(study, tmp_path, "--set", "data.severity.out_of_contract=warn")
    assert done.returncode == 0, done.stderr
    assert find_planted(tmp_path / "runs", PLANTED) == {}
    assert list((tmp_path / "temporary").iterdir()) == []


def test_another_encryption_key_is_refused_before_a_stage_is_begun(study, tmp_path, monkeypatch):
    words = ("--set", "data.severity.out_of_contract=warn")
    assert run(study, tmp_path, *words).returncode == 0
    manifest = (tmp_path / "runs" / "kept" / "manifest.json").read_bytes()
    monkeypatch.setitem(KEYS, "SECRET", "another key, as long as that")
    shutil.rmtree(tmp_path / "temporary")
    done = run(study, tmp_path, *words, "--only", "features")
    assert done.returncode == 1
    assert "encrypted with another key" in done.stderr
    assert "set SECRET to the key that the run was made with" in done.stderr
    assert (tmp_path / "runs" / "kept" / "manifest.json").read_bytes() == manifest
    shutil.rmtree(tmp_path / "temporary")
    assert run(study, tmp_path, *words).returncode == 0  # everything that holds rows is made again


def test_the_next_run_removes_what_a_killed_one_left(smoke_run, tmp_path, monkeypatch):
    copy = shutil.copytree(smoke_run, tmp_path / "runs" / "smoke")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (copy / "data" / "tables" / "ledger.parquet").unlink()
    monkeypatch.setenv("TMPDIR", str(temporary))
    started = Started(smoke(copy.parent), tmp_path / "log.txt")
    started.until(lambda: (copy / "data" / ".scratch").is_dir())
    started.kill(group=True)
    assert [path for path in temporary.iterdir() if path.name.startswith("workbench-private-")]
    done = call(smoke(copy.parent, "--only", "data"))
    assert done.returncode == 0, done.stderr
    assert not (copy / "data" / ".scratch").exists()
    assert [path for path in temporary.iterdir() if path.name.startswith("workbench-private-")] == []
