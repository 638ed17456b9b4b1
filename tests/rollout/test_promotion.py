import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from tests.rollout.made import FINDING, made_run, side
from workbench.errors import GateError, RolloutError
from workbench.rollout import promotion as module
from workbench.rollout.comparison import compare_paired
from workbench.rollout.deployment import DEPLOYMENT, read_deployment
from workbench.rollout.history import Approver, replay
from workbench.rollout.promotion import Asked, deployment_of, promote, record_comparison, roll_back
from workbench.rollout.registry import Registry
from workbench.serving.deployment import DEPLOYMENT as SERVED

ASKED = Asked(Approver("Ada Obi", "head of credit risk"), "tested")


class Rollout:
    """A registry with two versions and the folder that a server reads."""

    def __init__(self, registry, folder):
        self.registry, self.live = registry, folder / "live"
        self.runs = [made_run(folder / name, bundle=name.encode()) for name in ("one", "two")]
        self.versions = [registry.register(run) for run in self.runs]
        self.asked = replace(ASKED, deployment=self.live)

    def to(self, number, stage, share=0.0, **about):
        at = number - 1
        about = {"run": self.runs[at], **about}
        return promote(self.registry, self.versions[at], self.asked, to=stage, share=share, **about)

    def compare(self, approved=0.8):
        champion, other = (one.sha256 for one in self.versions)
        one, two = side("champion", champion, 5_000), side("shadow", other, 5_000, approved=approved)
        table = compare_paired(pl.concat([one, two]), champion=champion, other=other)
        return record_comparison(self.registry, self.versions[1], table, "shadow", {"a.parquet": "0" * 64})

    def seen(self):
        """All that anybody could see of a change."""
        there = self.live / DEPLOYMENT
        return self.registry.history("smoke"), there.read_bytes() if there.is_file() else b""


@pytest.fixture
def rollout(registry, tmp_path):
    return Rollout(registry, tmp_path)


def test_the_whole_way_of_a_challenger(rollout):
    rollout.to(1, "champion")
    rollout.to(2, "shadow")
    assert [one.version for one in read_deployment(rollout.live).shadows] == [2]
    rollout.to(2, "canary", 0.05)
    first = read_deployment(rollout.live)
    rollout.to(2, "canary", 0.1)
    found = read_deployment(rollout.live)
    assert (found.canary.version, found.share, found.salt) == (2, 0.1, first.salt)
    with pytest.raises(GateError, match="comparison: none recorded"):
        rollout.to(2, "champion")
    rollout.compare()
    done = rollout.to(2, "champion")
    assert [one.gate for one in done.gates][-1] == "comparison"
    assert read_deployment(rollout.live) == deployment_of("smoke", rollout.versions, done.state)
    lines = rollout.registry.history("smoke")
    assert [line.kind for line in lines] == ["promotion"] * 4 + ["comparison", "promotion"]
    last = lines[-1]
    assert (last.name, last.role, last.why) == ("Ada Obi", "head of credit risk", "tested")
    assert last.evidence["scoring/bundle"] == rollout.versions[1].sha256
    assert all(gate["passed"] for gate in last.gates)
    assert [(c.version, c.after) for c in last.changes] == [(1, "retired"), (2, "champion")]


def test_a_rollback_is_one_step_and_keeps_the_history(rollout):
    rollout.to(1, "champion")
    before = read_deployment(rollout.live)
    rollout.to(2, "shadow")
    rollout.compare()
    rollout.to(2, "champion")
    roll_back(rollout.registry, "smoke", rollout.asked)
    assert read_deployment(rollout.live) == before
    assert [line.kind for line in rollout.registry.history("smoke")][-2:] == ["promotion", "rollback"]
    assert rollout.registry._client.get_model_version_by_alias("smoke", "champion").version in (1, "1")
    with pytest.raises(RolloutError, match="nothing to roll back to"):
        roll_back(rollout.registry, "smoke", rollout.asked)


def test_a_rollback_withdraws_the_canary_and_needs_no_run(rollout, tmp_path):
    third = rollout.registry.register(run := made_run(tmp_path / "three", bundle=b"three"))
    rollout.to(1, "champion")
    rollout.to(2, "shadow")
    rollout.compare()
    rollout.to(2, "champion")
    promote(rollout.registry, third, rollout.asked, to="canary", share=0.1, run=run)
    for one in (*rollout.runs, run):
        (one.folder / "manifest.json").unlink()
    roll_back(rollout.registry, "smoke", rollout.asked)
    found = read_deployment(rollout.live)
    assert (found.champion.version, found.canary, found.share) == (1, None, 0.0)


def test_a_comparison_that_is_worse_or_with_another_champion_does_not_do(rollout, tmp_path):
    rollout.to(1, "champion")
    rollout.compare(approved=0.6)
    with pytest.raises(GateError, match="approval_rate worse beyond margin"):
        rollout.to(2, "champion")
    rollout.compare()
    third = rollout.registry.register(run := made_run(tmp_path / "three", bundle=b"three"))
    with pytest.raises(GateError, match="none recorded"):
        promote(rollout.registry, third, rollout.asked, to="champion", run=run)


def test_a_gate_that_fails_changes_nothing(rollout, tmp_path):
    rollout.to(1, "champion")
    before = rollout.seen()
    run = made_run(tmp_path / "bad", bundle=b"bad", findings=[FINDING], met="no")
    version = rollout.registry.register(run)
    with pytest.raises(GateError) as caught:
        promote(rollout.registry, version, rollout.asked, to="canary", share=0.05, run=run)
    assert len(caught.value.faults) == 2
    assert rollout.seen() == before


def test_the_same_promotion_twice_records_nothing_and_deploys_again(rollout):
    rollout.to(1, "champion")
    (rollout.live / DEPLOYMENT).unlink()
    assert rollout.to(1, "champion", run=None).changes == ()
    assert len(rollout.registry.history("smoke")) == 1
    assert read_deployment(rollout.live).champion.version == 1


def test_a_promotion_that_was_killed_before_it_was_deployed_goes_on(rollout, monkeypatch):
    class KilledError(BaseException):
        pass

    def killed(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "show", killed)
        with pytest.raises(KilledError):
            rollout.to(1, "champion")
    assert not (rollout.live / DEPLOYMENT).exists()
    assert replay(rollout.registry.history("smoke")).champion == 1
    rollout.to(1, "champion")
    assert read_deployment(rollout.live).champion.version == 1


def test_a_registry_that_takes_no_line_leaves_the_deployment(rollout, monkeypatch):
    rollout.to(1, "champion")
    before = rollout.seen()

    def full(*_):
        raise RolloutError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "append", full)
        with pytest.raises(RolloutError, match="no space"):
            rollout.to(2, "shadow")
    assert rollout.seen() == before
    assert not list(rollout.live.glob("*.next.json"))


def test_a_folder_that_cannot_be_written_leaves_everything_as_it_was(rollout):
    rollout.to(1, "champion")
    before = rollout.seen()
    blocked = rollout.live.parent / "a_file"
    blocked.write_text("in the way")
    asked = replace(ASKED, deployment=blocked)
    with pytest.raises(RolloutError, match="nothing deployed"):
        promote(rollout.registry, rollout.versions[1], asked, to="shadow", run=rollout.runs[1])
    assert rollout.seen() == before


def test_a_bundle_that_was_tampered_with_is_not_promoted(rollout):
    rollout.to(1, "champion")
    before = rollout.seen()
    for stored in rollout.registry.folder.rglob(f"{rollout.versions[1].sha256}.zip"):
        stored.write_bytes(b"tampered")
    with pytest.raises(RolloutError, match="was changed"):
        rollout.to(2, "shadow")
    (rollout.runs[1].folder / "scoring" / "bundle.zip").write_bytes(b"tampered")
    with pytest.raises(GateError, match="scoring/bundle"):
        rollout.to(2, "shadow")
    assert rollout.seen() == before


def test_another_run_does_not_speak_for_a_version(rollout):
    with pytest.raises(RolloutError, match="is not the run of this version"):
        rollout.to(1, "champion", run=rollout.runs[1])
    with pytest.raises(RolloutError, match="its run one is needed"):
        rollout.to(1, "champion", run=None)


@pytest.mark.parametrize("why", ["", "  ", "a\x1bb", "x" * 501])
def test_a_reason_is_needed_in_plain_words(rollout, why):
    with pytest.raises(RolloutError, match="needs a reason"):
        promote(rollout.registry, rollout.versions[0], Asked(ASKED.approver, why), to="champion")
    with pytest.raises(RolloutError, match="needs a reason"):
        roll_back(rollout.registry, "smoke", Asked(ASKED.approver, why))


def test_without_a_champion_nothing_is_deployed_and_nothing_compared(rollout):
    with pytest.raises(RolloutError, match="promote a champion first"):
        rollout.to(1, "shadow")
    with pytest.raises(RolloutError, match="there is no champion"):
        rollout.compare()
    assert rollout.registry.history("smoke") == []


def test_another_canary_draws_other_applicants(rollout):
    rollout.to(1, "champion")
    one, two = rollout.versions
    state = rollout.to(2, "canary", 0.05).state
    swapped = replace(two, sha256="9" * 64)
    assert (
        deployment_of("smoke", [one, two], state).salt != deployment_of("smoke", [one, swapped], state).salt
    )


def _shadow(uri, folder, number):
    registry = Registry(uri)
    version = registry.version("smoke", number)
    from workbench.run import Run

    promote(registry, version, ASKED, to="shadow", run=Run.open(Path(folder)))


def test_two_processes_at_once_lose_no_line(rollout):
    context = multiprocessing.get_context("spawn")
    folders = [str(run.folder) for run in rollout.runs]
    processes = [
        context.Process(target=_shadow, args=(rollout.registry.uri, folder, number))
        for number, folder in enumerate(folders, start=1)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    lines = rollout.registry.history("smoke")
    assert [line.number for line in lines] == [1, 2]
    assert replay(lines).at("shadow") == [1, 2]


def test_the_file_has_the_name_that_the_server_looks_for(rollout):
    assert DEPLOYMENT == SERVED
    assert module.SHADOW == "shadow"
    rollout.to(1, "champion")
    told = json.loads((rollout.live / DEPLOYMENT).read_text())
    assert set(told["champion"]) == {"version", "sha256", "path"}
