"""Who vouches for a run: an in-toto statement of what it was made from and what it made, signed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import RunError
from workbench.run import MANIFEST, PARAMS, PROVENANCE, Run
from workbench.store import read_json, sha256, write_json

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUNDLE_TYPE = "urn:credit-model-workbench:bundle:v1"
_BUILD_TYPE = "urn:credit-model-workbench:run:v1"
_BUILDER = "urn:credit-model-workbench"
_RIGHT = "a PEM file; make a pair with: openssl genpkey -algorithm ed25519 -out KEY.pem"


def provenance_statement(run: Run) -> dict[str, Any]:
    """Return the in-toto statement of a run with a SLSA provenance predicate.

    Subjects are the manifest, the parameters and every artifact, row-level ones by their hash alone. The
    predicate names the study, its parameters' digest, engine, seeds, and as dependencies the sources, the
    packages and the code revision with their hashes.

    Reference: in-toto attestation framework, Statement v1; SLSA provenance v1.
    """
    manifest = run.manifest
    subjects = [_subject(name, sha256(run.folder / name)) for name in (MANIFEST, PARAMS)]
    subjects += [_subject(entry["path"], entry["sha256"]) for entry in manifest["artifacts"].values()]
    sources = [_subject(name, digest) for name, digest in manifest["sources"].items() if digest]
    packages = _subject("packages", manifest["packages_sha256"])
    code = {"uri": f"git+local:{manifest['code']['revision']}", "annotations": manifest["code"]}
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": _BUILD_TYPE,
                "externalParameters": {
                    "study": manifest["study"],
                    "params_sha256": manifest["params_sha256"],
                },
                "internalParameters": {"engine": manifest["engine"], "seeds": manifest["seeds"]},
                "resolvedDependencies": [*sources, packages, code],
            },
            "runDetails": {
                "builder": {"id": _BUILDER, "version": {"packages": manifest["packages_sha256"]}},
                "metadata": {"invocationId": run.run_id, "startedOn": f"{manifest['created']}T00:00:00Z"},
            },
        },
    }


def sign_run(run: Run, private_key: Path) -> Path:
    """Sign the statement of a run with the key of a PEM file and return the envelope's path.

    Raises:
        RunError: a stage that is not complete, or a file that holds no private key for Ed25519, ECDSA or RSA.
    """
    states = {name: stage.get("state") for name, stage in run.manifest["stages"].items()}
    if open_stages := sorted(name for name, state in states.items() if state != "complete"):
        raise RunError("only a complete run is signed", [f"{name}: {states[name]}" for name in open_stages])
    path = run.folder / PROVENANCE
    write_json(path, _signed(provenance_statement(run), private_key))
    return path


def signed_statement(subjects: Sequence[tuple[str, str]], private_key: Path) -> dict[str, Any]:
    """Return a DSSE envelope of an in-toto statement about files, each a name and its SHA-256.

    Raises:
        RunError: a file that holds no private key for Ed25519, ECDSA or RSA.
    """
    statement = {"_type": STATEMENT_TYPE, "subject": [_subject(*subject) for subject in subjects]}
    return _signed(statement | {"predicateType": BUNDLE_TYPE, "predicate": {}}, private_key)


def signature_faults(run: Run, public_key: Path) -> list[str]:
    """Return what is wrong with a run's signature: none, by another key, broken, or of another state."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError

    path, key = run.folder / PROVENANCE, _public_key(public_key)
    if not path.is_file():
        return [f"{PROVENANCE} is missing: nobody has signed the run"]
    try:
        envelope = Envelope.from_dict(read_json(path))
        envelope.verify([key], 1)
        statement = json.loads(envelope.payload)
    except VerificationError:
        return [f"{PROVENANCE} is not signed by this key, or was changed after it was signed"]
    except (KeyError, TypeError, ValueError, AttributeError):
        return [f"{PROVENANCE} is no envelope that can be read"]
    if statement == provenance_statement(run):
        return []
    signed = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    now = {one["name"]: one["digest"]["sha256"] for one in provenance_statement(run)["subject"]}
    names = sorted(name for name in {*signed, *now} if signed.get(name) != now.get(name))
    return [f"{name} is not what was signed" for name in names or ["what the run was made from"]]


def _signed(statement: Mapping[str, Any], private_key: Path) -> dict[str, Any]:
    from securesystemslib.dsse import Envelope

    envelope = Envelope(json.dumps(statement, sort_keys=True).encode(), PAYLOAD_TYPE, {})
    envelope.sign(_signer(private_key))
    signed: dict[str, Any] = envelope.to_dict()
    return signed


def _subject(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest}}


def _signer(path: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]

    try:
        return CryptoSigner(load_pem_private_key(path.read_bytes(), None))
    except (ValueError, TypeError):
        raise RunError(f"{path}: no private key without a password", [f"right: {_RIGHT}"]) from None


def _public_key(path: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

    try:
        return SSlibKey.from_crypto(load_pem_public_key(path.read_bytes()))
    except ValueError:
        right = "right: a PEM file; openssl pkey -in KEY.pem -pubout -out KEY.pub"
        raise RunError(f"{path}: no public key", [right]) from None
