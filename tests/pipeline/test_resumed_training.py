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
    stage_states,
)
from workbench.run import UNFINISHED


@pytest.fixture(scope="module")
def smoke_run(tmp_path_factory):
    return shared_run(tmp_path_factory)


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.scale)])
def test_killed_at_random_moments_it_ends_with_the_same_bytes(smoke_run, tmp_path, kills):
    run, moments = copied(smoke_run, tmp_path), random.Random(kills)
    before, left = hashes(run), []
    words = [*smoke(tmp_path), "--from", "training"]
    longest = 12.0
    for _ in range(kills):
        started = Started(words, tmp_path / "log.txt")
        started.until(lambda: is_open(run, "training"))
        time.sleep(moments.uniform(0.5, longest))
        assert started.process.poll() is None, "it ended before it was killed"
        assert stage_states(run)["training"] == "open", "training was over before it was killed"
        left += started.kill(group=True)
    assert all_gone(left)
    journal = run / UNFINISHED / "training" / "search.jsonl"
    assert journal.is_file(), "nothing was kept of the search"
    assert list((run / UNFINISHED / "training").glob("champion/*")), "nothing was kept of the champion"
    done = call(words)
    assert done.returncode == 0, done.stderr
    assert hashes(run) == before
    assert not (run / UNFINISHED / "training").exists()
