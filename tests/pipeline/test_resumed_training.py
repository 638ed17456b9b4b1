"""Training and search that are killed again and again end as if nothing had happened."""

import random
import time

import pytest

from tests.pipeline.running import (
    Started,
    all_gone,
    call,
    copied,
    hashes,
    is_open,
    shared_run,
    smoke,
)
from workbench.run import UNFINISHED, Run
from workbench.training.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def smoke_run(tmp_path_factory):
    return shared_run(tmp_path_factory)


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.scale)])
def test_killed_at_random_moments_it_ends_with_the_same_bytes(smoke_run, tmp_path, kills):
    run, moments = copied(smoke_run, tmp_path), random.Random(kills)
    before, left, kept, hit = hashes(run), [], False, 0
    words = [*smoke(tmp_path), "--from", "training"]
    longest = 0.8 * Run.open(run).manifest["stages"]["training"]["seconds"]
    while hit < kills:
        started = Started(words, tmp_path / "log.txt")
        started.until(lambda: is_open(run, "training"))
        time.sleep(moments.uniform(0.2, longest))
        left += started.kill(group=True)
        if is_open(run, "training"):
            hit += 1
            kept = kept or (run / UNFINISHED / "training" / "search.jsonl").is_file()
        else:  # what is left to train gets less from kill to kill: this one came after the stage's end
            longest = longest / 2
            assert longest > 0.5, "training is over before it can be killed"
    assert all_gone(left)
    assert kept, "nothing was kept of the search"
    done = call([*smoke(tmp_path), "--only", "training"])
    assert done.returncode == 0, done.stderr
    trained = {name: sha256 for name, sha256 in before.items() if name.startswith("training/")}
    assert trained.items() <= hashes(run).items()  # a late kill may have met the stage after it
    assert not (run / UNFINISHED / "training").exists()


def test_a_checkpoint_of_other_params_is_refused_by_name_and_nothing_else_changes(smoke_run, tmp_path):
    run = copied(smoke_run, tmp_path)
    before, words = hashes(run), [*smoke(tmp_path), "--only", "training"]
    unfinished = run / UNFINISHED / "training"
    Checkpoints(unfinished / "champion", "of other params").save(20, b"another booster")
    (unfinished / "search.jsonl").write_text("no journal\n")
    done = call(words)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "training: checkpoint 20.ubj is of another training" in said
    assert "search.jsonl" in said
    assert hashes(run) == before
