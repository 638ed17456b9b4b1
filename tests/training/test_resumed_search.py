"""A search that was killed, cut short or changed, and goes on from its journal."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import optuna
import polars as pl
import pytest
import xgboost

from workbench.training.boosting import booster_settings
from workbench.training.folds import Folds, make_folds
from workbench.training.search import search_champion

SPACE = {"max_depth": [1, 4], "learning_rate": [0.01, 0.5]}
BASE = {**booster_settings([0, 0], seed=1), "nthread": 1}
PLAN = {
    "space": SPACE,
    "base": BASE,
    "trials": 12,
    "max_rounds": 12,
    "early_stopping_rounds": 4,
    "pruning": True,
    "winner": "one_standard_error",
    "seed": 5,
}
FINISHED = b'"op_code":6'  # of the journal's lines: a trial has ended
GENERATOR = np.random.default_rng(2)
FEATURES = GENERATOR.normal(size=(600, 2))
DEFAULT = (GENERATOR.random(600) < 1 / (1 + np.exp(1 - 2 * FEATURES[:, 0] * FEATURES[:, 1]))).astype(float)


@cache
def folds() -> Folds:
    columns = {"applicant_id": np.arange(600), "default": DEFAULT.astype(int), "vintage": "2025-01"}
    return make_folds(pl.DataFrame(columns), folds=3, forward=False, seed=1)


def search(journal=None, features=FEATURES, default=DEFAULT, **changes):
    return search_champion(features, default, **{"folds": folds(), **PLAN, "journal": journal, **changes})


@cache
def undisturbed(trials=PLAN["trials"]):
    return search(trials=trials)


def same(found, other) -> bool:
    """Whether two searches agree to the last byte of their tables."""
    ours, theirs = (result.trials.write_json() for result in (found, other))
    return ours == theirs and (found.settings, found.rounds) == (other.settings, other.rounds)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    """The journal of a search that nothing disturbed."""
    journal = tmp_path_factory.mktemp("whole") / "search.journal"
    assert same(search(journal), undisturbed())
    return journal.read_bytes()


@pytest.fixture
def journal(tmp_path) -> Path:
    return tmp_path / "search.journal"


def test_the_undisturbed_search_tests_something():
    """It prunes, and it proposes beyond the ten trials of its random start."""
    assert set(undisturbed().trials["status"]) == {"finished", "pruned"}
    assert set(undisturbed().trials["status"].tail(2)) == {"finished", "pruned"}


# Killed

KILLS = 10
KILLED = f"""
import os, random, signal, sys, time
from pathlib import Path
import optuna.samplers, optuna.storages.journal, sklearn.metrics
sys.path.insert(0, sys.argv[1])
from test_resumed_search import search

draw, journal = random.Random(20), Path(sys.argv[2])
size = lambda: journal.stat().st_size if journal.exists() else 0
for _ in range({KILLS}):
    child = os.fork()
    if not child:
        search(journal, trials=24)
        signal.pause()
    moment = size() + draw.randint(1, 4_000)
    patience = time.monotonic() + 20
    while size() < moment and time.monotonic() < patience:
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "the search ended by itself"
        time.sleep(0.0005)
    time.sleep(draw.uniform(0, 0.01))
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
"""


def test_killed_at_ten_random_moments_it_ends_as_if_undisturbed(journal):
    """One process imports everything once; ten children of it work on one journal and are killed."""
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(journal)]
    subprocess.run(command, check=True, timeout=120)
    found = search(journal, trials=24)
    assert 0 < found.resumed < 24
    assert same(found, undisturbed(24))
    states = [json.loads(line).get("state") for line in journal.read_bytes().splitlines()]
    assert states.count(3) >= KILLS // 2, "most kills met a trial that was running"


# Every state in which a kill can leave the journal


def test_whatever_part_of_the_journal_was_written_it_ends_as_if_undisturbed(journal, whole):
    """Cut after each line of the last two trials and within it, and at a few places before."""
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    late = [end for end in ends if whole[:end].count(FINISHED) >= PLAN["trials"] - 2]
    torn = np.random.default_rng(1).integers(1, 60, len(late))
    for size in [0, ends[0], ends[3], *late, *(late - torn)[::2]]:
        journal.write_bytes(whole[:size])
        found = search(journal)
        assert same(found, undisturbed()), size
        assert found.resumed == whole[: max(end for end in [0, *ends] if end <= size)].count(FINISHED)


def test_a_torn_last_line_is_cut_off_and_named(journal, whole):
    journal.write_bytes(whole[:-40])
    found = search(journal)
    length = len(whole) - 40 - (whole[:-1].rfind(b"\n") + 1)
    assert found.notes == (f"search.journal: its last line was torn, and {length:,} bytes were cut off",)
    assert found.resumed == PLAN["trials"] - 1
    assert same(found, undisturbed())


def test_a_last_line_of_zeros_is_cut_off(journal, whole):
    """What a file system may leave of a line after a power cut."""
    journal.write_bytes(whole + bytes(100) + b"\n")
    found = search(journal)
    assert "101 bytes were cut off" in found.notes[0]
    assert (found.resumed, same(found, undisturbed())) == (PLAN["trials"], True)


def test_a_finished_search_is_read_and_not_done_again(journal, whole, monkeypatch):
    monkeypatch.setattr(xgboost, "train", None)
    journal.write_bytes(whole)
    found = search(journal)
    assert same(found, undisturbed())
    assert (found.resumed, found.notes) == (PLAN["trials"], ())


def test_an_error_in_a_trial_disturbs_nothing(journal, monkeypatch):
    calls, train = [], xgboost.train

    def failing(*arguments, **options):
        calls.append(1)
        if len(calls) == 17:  # the second fold of the sixth trial
            raise KeyboardInterrupt
        return train(*arguments, **options)

    monkeypatch.setattr(xgboost, "train", failing)
    with pytest.raises(KeyboardInterrupt):
        search(journal, pruning=False)
    monkeypatch.undo()
    found = search(journal, pruning=False)
    assert found.resumed == 5
    assert same(found, search(pruning=False))


def test_failed_trials_count_for_nothing_however_many(journal):
    for trials in (1, 4, 11):
        search(journal, trials=trials)
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))
        study = optuna.load_study(study_name=None, storage=storage)
        for _ in range(10):
            study.ask({"max_depth": optuna.distributions.IntDistribution(1, 4)}).report(0.0, 1)
    assert same(search(journal), undisturbed())


# A longer search, and another one


def test_a_longer_search_goes_on_from_a_shorter_one(journal):
    search(journal, trials=6)
    found = search(journal)
    assert (found.resumed, found.notes) == (6, ())
    assert same(found, undisturbed())


def test_a_shorter_search_takes_the_first_trials_of_a_longer_one(journal, whole):
    journal.write_bytes(whole)
    found = search(journal, trials=6)
    assert found.resumed == 6
    assert same(found, undisturbed(6))


def test_another_rule_for_the_winner_needs_no_new_search(journal, whole):
    journal.write_bytes(whole)
    found = search(journal, winner="best")
    assert found.resumed == PLAN["trials"]
    assert same(found, search(winner="best"))


def test_time_spent_before_a_kill_counts(journal):
    search(journal, trials=3)
    found = search(journal, seconds=1e-3)
    assert (found.resumed, found.trials.height) == (3, 3)
    assert found.notes == ("the 0.001 seconds ended the search after 3 of 12 trials",)


def test_a_matrix_is_the_same_however_it_lies_in_memory(journal, whole):
    journal.write_bytes(whole)
    assert search(journal, features=np.asfortranarray(FEATURES)).resumed == PLAN["trials"]


def moved(array):
    return np.concatenate([array[:-1], array[-1:] + 1e-9])


@pytest.mark.parametrize(
    "change",
    [
        {"space": {**SPACE, "learning_rate": [0.01, 0.4]}},
        {"base": {**BASE, "monotone_constraints": (1, 0)}},
        {"max_rounds": 11},
        {"early_stopping_rounds": 5},
        {"pruning": False},
        {"seed": 6},
        {"features": moved(FEATURES)},
        {"default": np.roll(DEFAULT, 1)},
        {"folds": Folds(folds().pairs[::-1])},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_journal_of_another_search_is_refused_by_name(journal, whole, change):
    journal.write_bytes(whole)
    found = search(journal, **{"trials": 1, **change})
    assert found.resumed == 0
    assert found.notes == (
        "search.journal is of another search (other data, folds, space, settings or versions): "
        "it was replaced, and the search starts clean",
    )
    assert same(found, search(**{"trials": 1, **change}))
    assert search(journal, **{"trials": 1, **change}).notes == ()


def damaged(whole: bytes) -> dict[str, bytes]:
    lines = whole.splitlines(keepends=True)
    return {
        "one line of text": b"not a journal",
        "lines of text": b"not a journal\n" * 5,
        "zeros": bytes(1_000),
        "a line before it": b"{}\n" + whole,
        "unknown operations": b'[1, 2]\n{"op_code": 99}\n',
        "its first byte missing": whole[1:],
        "an operation that is none": whole.replace(b'"op_code":4', b'"op_code":"x"', 1),
        "a trial without its end": b"".join(
            line for line in lines if b'"trial_id":3,' not in line or FINISHED not in line
        ),
        "no results": b"".join(line for line in lines if b'"op_code":8' not in line),
    }


@pytest.mark.parametrize("damage", damaged(b"\n"))
def test_a_damaged_journal_is_refused_by_name(journal, whole, damage):
    journal.write_bytes(damaged(whole)[damage])
    found = search(journal, trials=1)
    what = "lacks results" if damage in ("a trial without its end", "no results") else "cannot be read"
    assert found.notes == (f"search.journal {what}: it was replaced, and the search starts clean",)
    assert (found.resumed, same(found, undisturbed(1))) == (0, True)


def test_nothing_but_the_journal_is_left_behind(tmp_path):
    search(tmp_path / "new" / "search.journal", trials=1)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["search.journal"]
