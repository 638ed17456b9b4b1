"""The decision log: whole whatever dies, only growing, an edit shows, and a full disk is told."""

import multiprocessing
import os
import resource
import signal
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from workbench.errors import RunError
from workbench.serving.decision_log import DecisionLog, LogUnavailableError, read_log
from workbench.serving.exporting import decision_rows, request_rows


def row(number=1, **changed):
    known = {
        "at": "2026-01-01T00:00:00.000Z",
        "applicant_id": f"a{number}",
        "role": "champion",
        "bundle_sha256": "b" * 64,
        "inputs_sha256": "i" * 64,
        "prob_default": 0.1 * number,
        "score": 600.0,
        "decision": "declined",
        "decided_by": "model",
        "review": 0,
        "flags": "",
        "reasons": '[["late payments","late",3.5]]',
        "milliseconds": 0.4,
    }
    return known | changed


@pytest.fixture
def log(tmp_path):
    made = DecisionLog(tmp_path / "log.sqlite")
    yield made
    made.close()


def test_what_was_handed_in_is_there_in_order(log):
    numbers = [log.append("decisions", row(number)).result(5) for number in range(1, 400)]
    assert numbers == list(range(1, 400))
    assert [found["applicant_id"] for found in read_log(log.path)] == [f"a{number}" for number in numbers]


def test_many_at_once_are_written_together_and_none_is_lost(log):
    waiting = [log.append("decisions", row(number)) for number in range(1, 2001)]
    assert [done.result(10) for done in waiting] == list(range(1, 2001))
    assert len(list(read_log(log.path))) == 2000


def test_it_goes_on_where_it_was(tmp_path):
    for start in (1, 4):
        log = DecisionLog(tmp_path / "log.sqlite")
        for number in range(start, start + 3):
            log.append("decisions", row(number)).result(5)
        log.close()
    assert [found["seq"] for found in read_log(tmp_path / "log.sqlite")] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "change", ["UPDATE decisions SET decision = 'approved'", "DELETE FROM decisions", "DELETE FROM requests"]
)
def test_nothing_can_be_changed_or_removed(log, change):
    log.append("decisions", row()).result(5)
    log.append("requests", {"at": "x", "status": 422, "milliseconds": 1.0}).result(5)
    with sqlite3.connect(log.path) as file, pytest.raises(sqlite3.IntegrityError, match="only grows"):
        file.execute(change)
    file.close()


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ("UPDATE decisions SET score = 700 WHERE seq = 3", 3),
        ("DELETE FROM decisions WHERE seq = 2", 2),
        ("DELETE FROM decisions WHERE seq = 1", 1),
        ("UPDATE decisions SET digest = 'x' WHERE seq = 4", 4),
    ],
)
def test_who_takes_the_triggers_away_is_found_out(log, change, at):
    for number in range(1, 6):
        log.append("decisions", row(number)).result(5)
    file = sqlite3.connect(log.path)
    for name in ("no_update_decisions", "no_delete_decisions"):
        file.execute(f"DROP TRIGGER {name}")
    file.execute(change)
    file.commit()
    file.close()
    with pytest.raises(RunError, match=f"decision {at} was edited or is missing"):
        list(read_log(log.path))


def test_a_clock_that_goes_back_changes_no_order(tmp_path):
    times = iter([datetime(2026, 1, 2, tzinfo=UTC) - timedelta(days=number) for number in range(4)])
    log = DecisionLog(tmp_path / "log.sqlite", clock=lambda: next(times))
    for number in range(4):
        log.append("decisions", row(number, at=log.now())).result(5)
    log.close()
    found = decision_rows(log.path)
    assert found["seq"].to_list() == [1, 2, 3, 4]
    assert found["at"].is_sorted(descending=True)


def _limited(path, told):
    """Write until the system refuses larger files, tell what was acknowledged, then get space again."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = DecisionLog(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, hard))
    kept, refused = 0, False
    for number in range(1, 5000):
        try:
            log.append("decisions", row(number)).result(5)
        except LogUnavailableError:
            refused = True
            break
        kept += 1
    was_writable = log.is_writable
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.append("decisions", row(kept + 1)).result(5)
    told.send((kept, refused, was_writable, log.is_writable))
    log.close()
    os._exit(0)


def test_a_full_disk_refuses_what_it_cannot_keep_and_goes_on_with_space(tmp_path):
    receiving, sending = multiprocessing.Pipe()
    path, fork = tmp_path / "log.sqlite", multiprocessing.get_context("fork")
    writer = fork.Process(target=_limited, args=(path, sending))
    writer.start()
    kept, refused, writable_then, writable_after = receiving.recv()
    writer.join(10)
    assert (refused, writable_then, writable_after) == (True, False, True)
    assert kept > 10
    assert len(list(read_log(path))) == kept + 1


def test_a_file_that_is_no_log_is_refused_and_kept(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine" * 1000)
    with pytest.raises(RunError, match="cannot be a decision log"):
        DecisionLog(path)
    assert path.read_text() == "mine" * 1000
    with pytest.raises(RunError, match="no such decision log"):
        list(read_log(tmp_path / "none"))


def test_a_second_server_is_told_to_keep_its_own(log):
    with pytest.raises(RunError, match="in use by another process"):
        DecisionLog(log.path)


def test_only_its_owner_reads_it(log):
    assert log.path.stat().st_mode & 0o077 == 0


def test_tables_of_it(log):
    log.append("decisions", row(1)).result(5)
    log.append("decisions", row(2, reasons="[]", decision="approved", review=1)).result(5)
    log.append("requests", {"at": "x", "status": 503, "milliseconds": 1.5}).result(5)
    found = decision_rows(log.path)
    assert found["reason_1"].to_list() == ["late payments", None]
    assert found["review"].to_list() == [False, True]
    assert found["reason_4"].null_count() == 2
    assert request_rows(log.path).to_dicts() == [{"seq": 1, "at": "x", "status": 503, "milliseconds": 1.5}]
