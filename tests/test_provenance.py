import base64
import json
import subprocess

import pytest

from tests.pipeline.running import call_here, command, copied, refused, shared_run
from workbench.errors import RunError
from workbench.provenance import PAYLOAD_TYPE, provenance_statement, sign_run, signature_faults
from workbench.run import PROVENANCE, Run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return shared_run(tmp_path_factory)


@pytest.fixture
def copy(run, tmp_path):
    return Run.open(copied(run, tmp_path))


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Two pairs of keys, made as the README says."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("mine", "other"):
        private, public = folder / f"{name}.pem", folder / f"{name}.pub"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return folder


def test_the_statement_names_all_that_was_made_and_from_what(run):
    opened = Run.open(run)
    statement = provenance_statement(opened)
    manifest = opened.manifest
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    subjects = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    assert {"manifest.json", "params.yaml", "report/model_risk.pdf"} <= set(subjects)
    assert len(subjects) == len(manifest["artifacts"]) + 2
    named = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert named[0]["digest"]["sha256"] == manifest["sources"]["applicants"]
    assert statement["predicate"]["runDetails"]["metadata"]["invocationId"] == "smoke"


def test_a_signed_run_is_verified_and_the_envelope_is_plain_json(copy, keys):
    path = sign_run(copy, keys / "mine.pem")
    assert signature_faults(copy, keys / "mine.pub") == []
    envelope = json.loads(path.read_text(encoding="utf-8"))
    assert envelope["payloadType"] == PAYLOAD_TYPE
    assert json.loads(base64.b64decode(envelope["payload"])) == provenance_statement(copy)


def test_a_key_signs_the_same_run_with_the_same_bytes(copy, keys):
    first = sign_run(copy, keys / "mine.pem").read_bytes()
    assert sign_run(copy, keys / "mine.pem").read_bytes() == first


def test_another_key_does_not_verify(copy, keys):
    sign_run(copy, keys / "mine.pem")
    (fault,) = signature_faults(copy, keys / "other.pub")
    assert "not signed by this key" in fault


def test_one_changed_byte_of_what_was_signed_is_seen(copy, keys):
    path = sign_run(copy, keys / "mine.pem")
    envelope = json.loads(path.read_text(encoding="utf-8"))
    payload = bytearray(base64.b64decode(envelope["payload"]))
    payload[len(payload) // 2] ^= 1
    path.write_text(json.dumps(envelope | {"payload": base64.b64encode(payload).decode()}), encoding="utf-8")
    (fault,) = signature_faults(copy, keys / "mine.pub")
    assert "was changed after it was signed" in fault


@pytest.mark.parametrize("content", ["{}", "[]", '{"payload": 1, "payloadType": "x", "signatures": []}'])
def test_what_is_no_envelope_is_told(copy, keys, content):
    (copy.folder / PROVENANCE).write_text(content, encoding="utf-8")
    (fault,) = signature_faults(copy, keys / "mine.pub")
    assert "no envelope" in fault or "not signed by this key" in fault


def test_a_run_that_changed_after_it_was_signed_is_told_by_name(copy, keys):
    sign_run(copy, keys / "mine.pem")
    copy.update(lambda manifest: manifest["artifacts"]["fairness/facts"].update(sha256="0" * 64))
    assert signature_faults(copy, keys / "mine.pub") == [
        "fairness/facts.json is not what was signed",
        "manifest.json is not what was signed",
    ]


def test_an_unsigned_run_is_told(copy, keys):
    (fault,) = signature_faults(copy, keys / "mine.pub")
    assert "nobody has signed the run" in fault


def test_an_open_stage_is_not_signed(copy, keys):
    copy.update(lambda manifest: manifest["stages"]["scoring"].update(state="open"))
    with pytest.raises(RunError, match="only a complete run") as caught:
        sign_run(copy, keys / "mine.pem")
    assert caught.value.faults == ("scoring: open",)
    assert not (copy.folder / PROVENANCE).exists()


def test_files_that_hold_no_key(copy, keys, tmp_path):
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no key", encoding="utf-8")
    with pytest.raises(RunError, match="no private key"):
        sign_run(copy, wrong)
    with pytest.raises(RunError, match="no public key"):
        signature_faults(copy, wrong)
    sign_run(copy, keys / "mine.pem")
    with pytest.raises(RunError, match="no public key"):
        signature_faults(copy, keys / "mine.pem")


def test_by_the_command_line(copy, keys):
    told = call_here(command("sign", copy.folder, "--key", keys / "mine.pem"))
    assert told.returncode == 0, told.stderr
    verified = call_here(command("verify", copy.folder, "--key", keys / "mine.pub"))
    assert verified.returncode == 0, verified.stdout
    other = call_here(command("verify", copy.folder, "--key", keys / "other.pub"))
    assert other.returncode == 1
    assert "not signed by this key" in " ".join(other.stdout.split())
    (copy.folder / "fairness" / "facts.json").write_text("[]", encoding="utf-8")
    refused(call_here(command("sign", copy.folder, "--key", keys / "mine.pem")), "damaged run is not signed")
