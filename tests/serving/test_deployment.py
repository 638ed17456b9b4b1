"""Deployments: who decides on whom, and that one which is not whole is refused with every fault."""

import json

import pytest

from tests.serving.running import deployed
from workbench.errors import DataError, RolloutError
from workbench.rollout.deployment import DEPLOYMENT
from workbench.serving.deployment import Deployment, open_deployment
from workbench.serving.opening import open_bundle


@pytest.fixture
def folder(tmp_path):
    """A champion, a canary for a fifth of the applicants, and a shadow."""
    deployed(tmp_path, canary="beta", share=0.2, shadows=["isotonic"])
    return tmp_path


def changed(folder, change):
    about = json.loads((folder / DEPLOYMENT).read_text())
    change(about)
    (folder / DEPLOYMENT).write_text(json.dumps(about))


def test_it_opens_with_all_roles(folder):
    found = open_deployment(folder)
    assert (found.share, found.salt, len(found.everyone)) == (0.2, "s", 3)
    assert [opened.frozen.scorer.calibration.method for opened in found.everyone] == [
        "platt",
        "beta",
        "isotonic",
    ]


def test_a_bundle_alone_is_champion_for_all(bundle):
    found = open_deployment(bundle)
    assert {found.role_of(str(number)) for number in range(200)} == {"champion"}


def test_the_same_applicant_always_has_the_same_role(folder):
    found = open_deployment(folder)
    assert [found.role_of(str(n)) for n in range(300)] == [
        open_deployment(folder).role_of(str(n)) for n in range(300)
    ]
    assert {"champion", "canary"} == {found.role_of(str(n)) for n in range(300)}


def test_every_fault_is_told(folder):
    about = json.loads((folder / DEPLOYMENT).read_text())
    path = folder / about["champion"]["path"]
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    (folder / about["canary"]["path"]).unlink()
    changed(folder, lambda about: (about["canary"].update(share=1.5), about["shadows"].append({"path": 3})))
    with pytest.raises(RolloutError) as raised:
        open_deployment(folder)
    told = " ".join(raised.value.faults)
    for words in ("champion: ", "was changed", "canary: ", "is missing", "share is 1.5", "shadow 2: "):
        assert words in told, (words, told)


@pytest.mark.parametrize("text", ["[]", "{}", '{"champion": null}', "null"])
def test_a_deployment_without_a_champion_is_none(tmp_path, text):
    (tmp_path / DEPLOYMENT).write_text(text)
    with pytest.raises(RolloutError, match="cannot be used"):
        open_deployment(tmp_path)


def test_a_request_needs_the_fields_of_every_bundle(folder):
    found = open_deployment(folder)
    assert set(found.fields) == set(found.champion.frozen.contract.names)


def test_the_hash_may_be_asked_for(bundle):
    with pytest.raises(DataError, match="another one"):
        open_bundle(bundle, sha256="0" * 64)


def test_a_canary_without_a_bundle_is_the_champion_s(bundle):
    opened = open_bundle(bundle)
    assert Deployment(opened).bundle_of("canary") is opened
