"""Folders for copies of raw data: closed to others, and gone whatever becomes of their process."""

import gc
import subprocess
import sys

import pytest

from workbench.params import ROOT
from workbench.private import PrivateFolder, sweep


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_only_its_user_may_read_it_and_it_goes_when_closed(temporary):
    made = PrivateFolder()
    assert made.path.parent == temporary
    assert made.path.stat().st_mode & 0o777 == 0o700
    (made.path / "rows.csv").write_text("x")
    made.close()
    made.close()
    assert left(temporary) == []


def test_it_goes_with_its_object(temporary):
    made = PrivateFolder()
    (made.path / "rows.csv").write_text("x")
    del made
    gc.collect()
    assert left(temporary) == []


CHILD = """
import os, signal, sys
from workbench.private import PrivateFolder
made = PrivateFolder()
(made.path / "rows.csv").write_text("x")
print(made.path.name, flush=True)
how = sys.argv[1]
if how == "killed": os.kill(os.getpid(), signal.SIGKILL)
if how == "failed": raise SystemExit(3)
if how == "waits": sys.stdin.read()
"""


def child(temporary, how):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=ROOT, env={"TMPDIR": str(temporary)},
    )  # fmt: skip


@pytest.mark.parametrize("how", ["ends", "failed"])
def test_it_goes_with_its_process(temporary, how):
    with child(temporary, how) as process:
        process.communicate(timeout=30)
    assert left(temporary) == []


def test_what_a_killed_process_left_is_swept_and_what_is_in_use_is_not(temporary):
    with child(temporary, "killed") as killed:
        killed.communicate(timeout=30)
    assert len(left(temporary)) == 1
    mine = PrivateFolder()
    others = temporary / "workbench-private-without-lock"
    others.mkdir()
    (temporary / "workbench-private-link").symlink_to(others)
    with child(temporary, "waits") as waiting:
        name = waiting.stdout.readline().strip()
        sweep()
        assert left(temporary) == sorted(
            [name, mine.path.name, "workbench-private-link", "workbench-private-without-lock"]
        )
        waiting.communicate("", timeout=30)
    mine.close()
