import hashlib
import json
from pathlib import Path

import pytest

from workbench.errors import RunError
from workbench.training.checkpoints import Checkpoints, training_key

ARGUMENTS = {
    "settings": {"max_depth": 3, "monotone_constraints": (1, 0), "seed": 7},
    "names": ["wage", "rent"],
    "data_sha256": "ab" * 32,
    "rounds": 100,
    "block_rounds": 50,
    "memory": "in_core",
}


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "champion"


@pytest.fixture
def saved(folder):
    """A folder with one checkpoint of round 50."""
    Checkpoints(folder, "key").save(50, b"model of fifty rounds")
    return folder


def refused(folder, key="key"):
    """The one sentence about what is there; nothing of it is used."""
    checkpoints = Checkpoints(folder, key)
    assert checkpoints.latest() is None
    (sentence,) = checkpoints.refused
    return sentence


def test_nothing_there_is_no_fault(folder):
    checkpoints = Checkpoints(folder, "key")
    assert checkpoints.latest() is None
    assert checkpoints.refused == ()


def test_the_newest_alone_is_kept(saved):
    checkpoints = Checkpoints(saved, "key")
    checkpoints.save(100, b"model of a hundred")
    assert checkpoints.latest() == (100, b"model of a hundred")
    assert checkpoints.refused == ()
    assert names_in(saved) == ["100.json", "100.ubj"]


def test_the_header_says_whose_it_is(saved):
    header = json.loads((saved / "50.json").read_text())
    sha256 = hashlib.sha256((saved / "50.ubj").read_bytes()).hexdigest()
    assert header == {"key": "key", "rounds": 50, "sha256": sha256}


def test_another_training_s_is_refused_by_name(saved):
    assert refused(saved, "other") == (
        "checkpoint 50.ubj is of another training (other data, features, settings, rounds or version of "
        "XGBoost): it is refused, and training starts clean"
    )


@pytest.mark.parametrize(
    "model", [b"", b"model of fifty", b"model of fifty rouNds", b"model of fifty rounds."]
)
def test_a_truncated_or_edited_model_is_refused(saved, model):
    (saved / "50.ubj").write_bytes(model)
    assert refused(saved) == (
        "checkpoint 50.ubj is truncated or was edited: it is refused, and training starts clean"
    )


@pytest.mark.parametrize(
    "text", ["", "{", '{"key": "key"', "[]", "7", '{"key": "key", "rounds": 50}', "\x00"]
)
def test_an_unreadable_header_is_refused(saved, text):
    (saved / "50.json").write_text(text)
    assert refused(saved) == (
        "checkpoint 50.json is no header that can be read: it is refused, and training starts clean"
    )


def test_a_header_that_is_not_text_is_refused(saved):
    (saved / "50.json").write_bytes(b"\xff\xfe\x80")
    assert "50.json is no header that can be read" in refused(saved)


def test_a_model_under_another_round_is_refused(saved):
    for suffix in (".ubj", ".json"):
        (saved / f"50{suffix}").rename(saved / f"60{suffix}")
    assert "60.ubj is truncated or was edited" in refused(saved)


def test_a_missing_model_is_refused(saved):
    (saved / "50.ubj").unlink()
    assert "50.ubj is missing or cannot be read" in refused(saved)


def test_a_write_that_was_interrupted_is_no_fault_and_the_one_before_is_used(saved):
    (saved / "100.ubj").write_bytes(b"model of a hundr")
    (saved / ".abc.ubj").write_bytes(b"model")
    checkpoints = Checkpoints(saved, "key")
    assert checkpoints.latest() == (50, b"model of fifty rounds")
    assert checkpoints.refused == ()
    checkpoints.save(150, b"more")
    assert names_in(saved) == ["150.json", "150.ubj"]


def test_of_two_the_older_is_used_where_the_newer_is_damaged(saved, tmp_path):
    newer = Checkpoints(tmp_path / "newer", "key")
    newer.save(100, b"model of a hundred")
    for name in names_in(newer.folder):
        (newer.folder / name).rename(saved / name)
    (saved / "100.ubj").write_bytes(b"model of a hundr")
    checkpoints = Checkpoints(saved, "key")
    assert checkpoints.latest() == (50, b"model of fifty rounds")
    assert checkpoints.refused == (
        "checkpoint 100.ubj is truncated or was edited: it is refused, and training goes on from round 50",
    )


def test_newest_is_by_number_not_by_name(tmp_path):
    for rounds in (100, 50):
        Checkpoints(tmp_path / str(rounds), "key").save(rounds, b"model")
        for path in (tmp_path / str(rounds)).iterdir():
            path.rename(tmp_path / path.name)
    assert Checkpoints(tmp_path, "key").latest() == (100, b"model")


@pytest.mark.parametrize("writes", [0, 1])
def test_a_disk_that_refuses_leaves_the_one_before(saved, monkeypatch, writes):
    replace, done = Path.replace, []

    def full(path, target):
        done.append(target)
        if len(done) > writes:
            raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(RunError, match="No space left on device"):
        Checkpoints(saved, "key").save(100, b"model of a hundred")
    monkeypatch.undo()
    checkpoints = Checkpoints(saved, "key")
    assert checkpoints.latest() == (50, b"model of fifty rounds")
    assert checkpoints.refused == ()


def test_the_key_is_that_of_the_same_training():
    again = {**ARGUMENTS, "settings": dict(reversed(ARGUMENTS["settings"].items()))}
    assert training_key(**ARGUMENTS) == training_key(**again)
    assert len(training_key(**ARGUMENTS)) == 64


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("settings", {"max_depth": 4, "monotone_constraints": (1, 0), "seed": 7}),
        ("names", ["rent", "wage"]),
        ("data_sha256", "cd" * 32),
        ("rounds", 101),
        ("block_rounds", 25),
        ("memory", "external 50000"),
    ],
)
def test_the_key_is_another_for_any_other_training(name, value):
    assert training_key(**ARGUMENTS) != training_key(**{**ARGUMENTS, name: value})


def test_the_key_is_another_for_another_version_of_xgboost(monkeypatch):
    before = training_key(**ARGUMENTS)
    monkeypatch.setattr("xgboost.__version__", "0.0.1")
    assert training_key(**ARGUMENTS) != before
