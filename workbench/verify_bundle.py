"""Verify a bundle of a credit model run: python3 verify_bundle.py BUNDLE [--key PUBLIC.pem]

BUNDLE is the ZIP or the folder that it was unpacked into. Needs Python 3.9 and nothing else. Every file is
compared with the list in bundle.json; files that are missing, changed, added, named twice, or named so that
they would leave the folder are told. With --key, the signature in bundle.sig.json is checked (Ed25519). Exit
code 0: nothing was found; 1: something was.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

LISTING, SIGNATURE = "bundle.json", "bundle.sig.json"
_PRIME = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _PRIME) % _PRIME
_ROOT_OF_MINUS_ONE = pow(2, (_PRIME - 1) // 4, _PRIME)
_ED25519_PREFIX = bytes.fromhex("302a300506032b6570032100")  # of a public key in DER, RFC 8410

Point = tuple[int, int, int, int]  # x/z, y/z and the product x*y/z, z in the middle: X, Y, Z, T


def bundle_faults(path: Path, key: Path | None = None) -> list[str]:
    """Return what is wrong with a bundle, a ZIP or a folder; nothing where nothing is."""
    try:
        files, faults = _read(path)
    except (OSError, zipfile.BadZipFile) as error:
        return [f"{path.name}: cannot be read as a bundle: {error}"]
    listed, wrong = _listed(files)
    faults += wrong
    for name in sorted(listed.keys() | files.keys() - {LISTING, SIGNATURE}):
        if name not in listed:
            faults.append(f"{name}: is not in {LISTING}: it was added")
        elif name not in files:
            faults.append(f"{name}: is missing")
        elif hashlib.sha256(files[name]).hexdigest() != listed[name]:
            faults.append(f"{name}: was changed")
    if key is not None:
        faults += signature_faults(files.get(SIGNATURE), files.get(LISTING, b""), key.read_bytes())
    return faults


def signature_faults(envelope: bytes | None, listing: bytes, public_key: bytes) -> list[str]:
    """Return what is wrong with the DSSE envelope of a listing under the public key of a PEM file."""
    if envelope is None:
        return [f"{SIGNATURE}: is missing: nobody has signed the bundle"]
    try:
        told = json.loads(envelope)
        payload, kind = base64.b64decode(told["payload"], validate=True), str(told["payloadType"])
        signatures = [base64.b64decode(one["sig"], validate=True) for one in told["signatures"]]
        subjects = {one["name"]: one["digest"]["sha256"] for one in json.loads(payload)["subject"]}
    except (ValueError, KeyError, TypeError, binascii.Error):
        return [f"{SIGNATURE}: is no envelope that can be read"]
    raw = _ed25519_key(public_key)
    if raw is None:
        return ["the key is no Ed25519 public key in PEM: this script checks no other"]
    signed = b" ".join(
        (b"DSSEv1", str(len(kind)).encode(), kind.encode(), str(len(payload)).encode(), payload)
    )
    if not any(verify_ed25519(raw, signed, signature) for signature in signatures):
        return [f"{SIGNATURE}: is not signed by this key, or was changed after it was signed"]
    if subjects != {LISTING: hashlib.sha256(listing).hexdigest()}:
        return [f"{LISTING}: is not what was signed"]
    return []


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether an Ed25519 signature holds: 8 S B = 8 R + 8 k A.

    Reference: RFC 8032, section 5.1.7.
    """
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key, nonce = _decoded(public_key), _decoded(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or nonce is None or scalar >= _ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    left = _times(8 * scalar, _BASE)
    right = _times(8, _add(nonce, _times(challenge, key)))
    return _same(left, right)


def main(arguments: list[str] | None = None) -> int:
    """Check the bundle that the command line names, tell every fault, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path, help="the ZIP, or the folder it was unpacked into")
    parser.add_argument("--key", type=Path, help="PEM file with the Ed25519 public key of who signed")
    asked = parser.parse_args(arguments)
    if not asked.bundle.exists() or (asked.key is not None and not asked.key.is_file()):
        print(f"{asked.key if asked.bundle.exists() else asked.bundle}: no such file")
        return 1
    faults = bundle_faults(asked.bundle, asked.key)
    for fault in faults:
        print(fault)
    signed = "signature not checked" if asked.key is None else "signature checked"
    print(f"{asked.bundle.resolve().name}: {len(faults)} fault(s), {signed}")
    return 1 if faults else 0


def _read(path: Path) -> tuple[dict[str, bytes], list[str]]:
    """Return the files of a bundle by name, and faults of the names themselves."""
    if path.is_dir():
        found = sorted(one for one in path.rglob("*") if one.is_file() or one.is_symlink())
        links = [f"{one.relative_to(path).as_posix()}: is a link" for one in found if one.is_symlink()]
        files = {one.relative_to(path).as_posix(): one for one in found if not one.is_symlink()}
        return {name: one.read_bytes() for name, one in files.items()}, links
    with zipfile.ZipFile(path) as archive:
        names = [one.filename for one in archive.infolist() if not one.is_dir()]
        faults = [f"{name}: is in the ZIP more than once" for name in sorted(_repeated(names))]
        faults += [f"{name}: leads out of the folder" for name in names if _leaves(name)]
        faults += [f"{one.filename}: is a link" for one in archive.infolist() if _is_link(one)]
        contents: dict[str, bytes] = {}
        for name in names:
            try:
                contents[name] = archive.read(name)
            except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, OSError) as error:
                faults.append(f"{name}: cannot be read from the ZIP: {error}")
                contents[name] = b""
        return contents, faults


def _listed(files: dict[str, bytes]) -> tuple[dict[str, str], list[str]]:
    """Return the digests that the listing tells by file, and what is wrong with the listing."""
    if LISTING not in files:
        return {}, [f"{LISTING}: is missing"]
    try:
        told: dict[str, Any] = json.loads(files[LISTING])["files"]
        return {name: str(one["sha256"]) for name, one in told.items()}, []
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, [f"{LISTING}: is no listing that can be read"]


def _repeated(names: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    return {name for name in names if name in seen or seen.add(name)}  # type: ignore[func-returns-value]


def _is_link(entry: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(entry.external_attr >> 16)


def _leaves(name: str) -> bool:
    return name.startswith(("/", "\\")) or ".." in PurePosixPath(name.replace("\\", "/")).parts or ":" in name


def _ed25519_key(pem: bytes) -> bytes | None:
    """Return the 32 bytes of an Ed25519 public key in PEM, or nothing where it is none."""
    body = b"".join(line for line in pem.splitlines() if line and not line.startswith(b"-----"))
    try:
        der = base64.b64decode(body, validate=True)
    except binascii.Error:
        return None
    right = b"BEGIN PUBLIC KEY" in pem and der.startswith(_ED25519_PREFIX) and len(der) == 44
    return der[-32:] if right else None


def _decoded(encoded: bytes) -> Point | None:
    """Return the point that 32 bytes encode, or nothing where they encode none (RFC 8032, section 5.1.3)."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= _PRIME:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _PRIME) % _PRIME
    x = pow(square, (_PRIME + 3) // 8, _PRIME)
    if (x * x - square) % _PRIME:
        x = x * _ROOT_OF_MINUS_ONE % _PRIME
    if (x * x - square) % _PRIME or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _PRIME - x
    return x, y, 1, x * y % _PRIME


def _add(one: Point, other: Point) -> Point:
    """Return the sum of two points in extended coordinates (RFC 8032, section 5.1.4)."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % _PRIME
    b = (one[1] + one[0]) * (other[1] + other[0]) % _PRIME
    c, d = 2 * one[3] * other[3] * _D % _PRIME, 2 * one[2] * other[2] % _PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _PRIME, g * h % _PRIME, f * g % _PRIME, e * h % _PRIME


def _times(scalar: int, point: Point) -> Point:
    total: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point, scalar = _add(point, point), scalar >> 1
    return total


def _same(one: Point, other: Point) -> bool:
    return not (
        (one[0] * other[2] - other[0] * one[2]) % _PRIME or (one[1] * other[2] - other[1] * one[2]) % _PRIME
    )


_BASE_POINT = _decoded((4 * pow(5, -1, _PRIME) % _PRIME).to_bytes(32, "little"))
assert _BASE_POINT is not None
_BASE = _BASE_POINT

if __name__ == "__main__":
    sys.exit(main())
