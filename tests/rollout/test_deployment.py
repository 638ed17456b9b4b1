import hashlib
import json

import pytest

from tests.pipeline.running import shared_run
from workbench.errors import RolloutError, RunError
from workbench.rollout import deployment as module
from workbench.rollout.deployment import (
    BUNDLES,
    DEPLOYMENT,
    NEXT,
    Deployed,
    Deployment,
    prepare_deployment,
    read_deployment,
)
from workbench.run import Run
from workbench.serving.deployment import open_deployment

CONTENT = {number: f"bundle {number}".encode() for number in (1, 2, 3)}
ONE, TWO, THREE = (Deployed(n, hashlib.sha256(content).hexdigest()) for n, content in CONTENT.items())
WHOLE = Deployment("smoke", ONE, TWO, 0.05, "salt", (THREE,))


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def kept(tmp_path):
    """What brings a bundle out of the registry."""

    def bring(one, _folder):
        path = tmp_path / f"{one.version}.zip"
        path.write_bytes(CONTENT[one.version])
        return path

    return bring


@pytest.fixture
def folder(tmp_path, kept):
    prepare_deployment(tmp_path / "live", WHOLE, kept).commit()
    return tmp_path / "live"


def test_what_is_written_is_read_and_nothing_else_is_there(folder):
    assert read_deployment(folder) == WHOLE
    assert set(files(folder)) == {DEPLOYMENT, *(one.path for one in WHOLE.everyone)}
    told = json.loads((folder / DEPLOYMENT).read_text())
    assert told["canary"] == {"version": 2, "sha256": TWO.sha256, "path": TWO.path, "share": 0.05}
    assert told["champion"]["path"] == f"{BUNDLES}/{ONE.sha256}.zip"
    assert list(told) == ["model", "salt", "champion", "canary", "shadows"]


def test_a_champion_alone(tmp_path, kept):
    alone = Deployment("smoke", ONE)
    prepare_deployment(tmp_path / "live", alone, kept).commit()
    assert read_deployment(tmp_path / "live") == alone
    assert json.loads((tmp_path / "live" / DEPLOYMENT).read_text())["canary"] is None


def test_servers_see_nothing_before_the_commit(folder, kept):
    before = (folder / DEPLOYMENT).read_bytes()
    prepared = prepare_deployment(folder, Deployment("smoke", TWO), kept)
    assert (folder / DEPLOYMENT).read_bytes() == before
    prepared.withdraw()
    assert not (folder / NEXT).exists()
    assert read_deployment(folder) == WHOLE


def test_a_bundle_that_was_changed_in_the_folder_is_brought_again(folder, kept):
    (folder / ONE.path).write_bytes(b"tampered")
    with pytest.raises(RolloutError, match="was changed"):
        read_deployment(folder)
    prepare_deployment(folder, WHOLE, kept).commit()
    assert read_deployment(folder) == WHOLE


def test_a_bundle_with_another_hash_is_refused_and_nothing_changes(folder, tmp_path):
    before = files(folder)
    wrong = tmp_path / "wrong.zip"
    wrong.write_bytes(b"tampered")
    with pytest.raises(RolloutError, match="is right"):
        prepare_deployment(folder, Deployment("smoke", Deployed(4, "4" * 64)), lambda *_: wrong)
    assert files(folder) == before


def test_another_model_needs_a_folder_of_its_own(folder, kept):
    with pytest.raises(RolloutError, match="deploys smoke"):
        prepare_deployment(folder, Deployment("taiwan", ONE), kept)


def test_a_folder_that_takes_no_files_keeps_what_it_had(folder, kept, monkeypatch):
    before = files(folder)

    def full(*_):
        raise RunError("the disk is full")

    monkeypatch.setattr(module, "write_json", full)
    with pytest.raises(RolloutError, match="nothing deployed"):
        prepare_deployment(folder, Deployment("smoke", ONE), kept)
    assert files(folder) == before
    with pytest.raises(RolloutError, match="nothing deployed"):
        prepare_deployment(folder / DEPLOYMENT, Deployment("smoke", ONE), kept)


def edited(folder, **changes):
    told = json.loads((folder / DEPLOYMENT).read_text()) | changes
    (folder / DEPLOYMENT).write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"champion": None}, "champion: missing"),
        ({"champion": TWO.as_dict()}, "a bundle has two roles"),
        ({"champion": ONE.as_dict() | {"version": True}}, "version is True"),
        ({"champion": ONE.as_dict() | {"sha256": "x"}}, "no SHA-256"),
        ({"champion": ONE.as_dict() | {"path": "../1.zip"}}, "path is ../1.zip"),
        ({"champion": Deployed(9, "9" * 64).as_dict()}, "is missing"),
        ({"canary": TWO.as_dict()}, "share is None"),
        ({"canary": TWO.as_dict() | {"share": 1.0}}, "share is 1.0"),
        ({"canary": TWO.as_dict() | {"share": 1}}, "share is 1;"),
        ({"canary": "2"}, "canary: missing"),
        ({"shadows": None}, "shadows: missing"),
        ({"salt": 7}, "salt: missing"),
        ({"model": None}, "model: missing"),
    ],
)
def test_every_fault_of_the_file_is_told(folder, changes, told):
    edited(folder, **changes)
    with pytest.raises(RolloutError, match=told):
        read_deployment(folder)


def test_all_faults_are_told_at_once(folder):
    (folder / THREE.path).unlink()
    edited(folder, champion=None, salt=None, canary=TWO.as_dict() | {"share": 2.0})
    with pytest.raises(RolloutError) as caught:
        read_deployment(folder)
    assert len(caught.value.faults) == 4


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_what_is_no_deployment_is_told(folder, text):
    (folder / DEPLOYMENT).write_text(text)
    with pytest.raises(RolloutError):
        read_deployment(folder)
    with pytest.raises(RolloutError, match="no such file"):
        read_deployment(folder / "nowhere")


def test_the_server_opens_what_was_deployed(tmp_path, tmp_path_factory):
    run = Run.open(shared_run(tmp_path_factory))
    path = run.checked_path("scoring/bundle")
    one = Deployed(1, run.entry("scoring/bundle")["sha256"])
    prepare_deployment(tmp_path, Deployment("smoke", one), lambda *_: path).commit()
    assert open_deployment(tmp_path).champion.sha256 == one.sha256
