"""The verifier of bundles: Python's standard library alone, and a signature checked as the RFC says."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from workbench import verify_bundle
from workbench.verify_bundle import bundle_faults, verify_ed25519

# RFC 8032, section 7.1: public key, message, signature
RFC = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
FILES = {"facts.json": b"[]", "documents/card.html": b"<p>", "tables/a.csv": b"a,b\n1,2\n"}


def listing_of(files=FILES):
    return {"files": {name: {"sha256": hashlib.sha256(text).hexdigest()} for name, text in files.items()}}


def written(path, files=FILES, key=None, listed=None):
    """A bundle as a ZIP, signed where a key is given."""
    listing = listing_of(files)
    text = json.dumps(listing if listed is None else listed).encode()
    entries = {**files, "bundle.json": text}
    if key:
        subject = [{"name": "bundle.json", "digest": {"sha256": hashlib.sha256(text).hexdigest()}}]
        envelope = Envelope(json.dumps({"subject": subject}).encode(), "application/vnd.in-toto+json", {})
        envelope.sign(CryptoSigner(key))
        entries["bundle.sig.json"] = json.dumps(envelope.to_dict()).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def public(folder, key, name="key.pub"):
    path = folder / name
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def changed(path, **files):
    """The bundle with these files put in the place of others; None leaves one out."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries |= files
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            if content is not None:
                archive.writestr(name, content)
    return path


@pytest.mark.parametrize(("key", "message", "signature"), RFC, ids=["empty", "one byte", "two bytes"])
def test_the_signatures_of_the_rfc_hold_and_no_others(key, message, signature):
    raw = [bytes.fromhex(text) for text in (key, message, signature)]
    assert verify_ed25519(*raw)
    assert not verify_ed25519(raw[0], raw[1] + b"x", raw[2])
    for place in (0, 31, 32, 63):
        broken = bytearray(raw[2])
        broken[place] ^= 1
        assert not verify_ed25519(raw[0], raw[1], bytes(broken))


@settings(max_examples=15, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200), flip=st.integers(0, 511))
def test_it_holds_what_a_reference_library_signed(seed, message, flip):
    private = Ed25519PrivateKey.from_private_bytes(seed)
    raw, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert verify_ed25519(raw, message, signature)
    broken = bytearray(signature)
    broken[flip // 8] ^= 1 << flip % 8
    assert not verify_ed25519(raw, message, bytes(broken))


def test_a_scalar_beyond_the_order_and_points_that_are_none_are_refused():
    key, message, signature = (bytes.fromhex(text) for text in RFC[0])
    order = 2**252 + 27742317777372353535851937790883648493
    more = int.from_bytes(signature[32:], "little") + order
    assert not verify_ed25519(key, message, signature[:32] + more.to_bytes(32, "little"))
    assert not verify_ed25519(b"\xff" * 32, message, signature)
    assert not verify_ed25519(key[:31], message, signature)
    assert not verify_ed25519((2).to_bytes(32, "little"), message, signature)


def test_a_bundle_as_it_was_written_has_no_fault(tmp_path):
    path = written(tmp_path / "run.zip")
    assert bundle_faults(path) == []
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert bundle_faults(tmp_path / "unpacked") == []


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"facts.json": b"[ "}, "facts.json: was changed"),
        ({"facts.json": None}, "facts.json: is missing"),
        ({"more.txt": b"x"}, "more.txt: is not in bundle.json: it was added"),
        ({"bundle.json": None}, "bundle.json: is missing"),
        ({"bundle.json": b"{}"}, "bundle.json: is no listing that can be read"),
        ({"../out.txt": b"x"}, "../out.txt: leads out of the folder"),
    ],
)
def test_each_change_is_told(tmp_path, files, fault):
    assert fault in bundle_faults(changed(written(tmp_path / "run.zip"), **files))


def test_all_faults_are_told_together(tmp_path):
    path = changed(written(tmp_path / "run.zip"), **{"facts.json": b"", "tables/a.csv": None, "b": b""})
    assert [fault.split(":")[0] for fault in bundle_faults(path)] == ["b", "facts.json", "tables/a.csv"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_told(tmp_path):
    path = written(tmp_path / "run.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("facts.json", b"[1]")
    assert "facts.json: is in the ZIP more than once" in bundle_faults(path)


def test_a_byte_flipped_anywhere_never_stops_the_verifier(tmp_path):
    whole = written(tmp_path / "run.zip").read_bytes()
    start = whole.index(b"facts.json") + len("facts.json")
    for place in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[place] ^= 0x10
        (tmp_path / "broken.zip").write_bytes(bytes(broken))
        assert isinstance(bundle_faults(tmp_path / "broken.zip"), list)
    broken = bytearray(whole)
    broken[start] ^= 0x10  # the contents of the first file
    (tmp_path / "broken.zip").write_bytes(bytes(broken))
    assert bundle_faults(tmp_path / "broken.zip")[0].startswith("facts.json: cannot be read")


def test_a_file_that_cannot_be_unpacked_is_told(tmp_path):
    files = {"facts.json": bytes(range(256)) * 8}
    listing = json.dumps(listing_of(files)).encode()
    with zipfile.ZipFile(tmp_path / "run.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("facts.json", files["facts.json"])
        archive.writestr("bundle.json", listing)
    whole = bytearray((tmp_path / "run.zip").read_bytes())
    start = whole.index(b"facts.json") + len("facts.json")
    whole[start : start + 20] = b"\xff" * 20
    (tmp_path / "run.zip").write_bytes(bytes(whole))
    assert bundle_faults(tmp_path / "run.zip")[0].startswith("facts.json: cannot be read from the ZIP")


def test_a_link_in_a_zip_is_told(tmp_path):
    path = written(tmp_path / "run.zip")
    with zipfile.ZipFile(path, "a") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    assert "link: is a link" in bundle_faults(path)


def test_a_link_in_an_unpacked_bundle_is_told(tmp_path):
    with zipfile.ZipFile(written(tmp_path / "run.zip")) as archive:
        archive.extractall(tmp_path / "unpacked")
    (tmp_path / "unpacked" / "facts.json").unlink()
    (tmp_path / "unpacked" / "facts.json").symlink_to(tmp_path / "run.zip")
    assert bundle_faults(tmp_path / "unpacked") == ["facts.json: is a link", "facts.json: is missing"]


def test_a_signature_holds_for_its_key_and_its_listing_alone(tmp_path):
    mine, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    path = written(tmp_path / "run.zip", key=mine)
    assert bundle_faults(path, public(tmp_path, mine)) == []
    assert "not signed by this key" in bundle_faults(path, public(tmp_path, other))[0]
    more = {
        "files": {name: {"sha256": hashlib.sha256(text).hexdigest()} for name, text in FILES.items()},
        "x": 1,
    }
    listed = changed(path, **{"bundle.json": json.dumps(more).encode()})
    assert bundle_faults(listed, public(tmp_path, mine)) == ["bundle.json: is not what was signed"]


def test_no_signature_no_envelope_and_another_kind_of_key_are_told(tmp_path):
    mine = Ed25519PrivateKey.generate()
    plain = written(tmp_path / "plain.zip")
    assert "nobody has signed" in bundle_faults(plain, public(tmp_path, mine))[0]
    signed = written(tmp_path / "run.zip", key=mine)
    curve = public(tmp_path, ec.generate_private_key(ec.SECP256R1()), "curve.pub")
    assert "this script checks no other" in bundle_faults(signed, curve)[0]
    broken = changed(signed, **{"bundle.sig.json": b"{}"})
    assert "no envelope that can be read" in bundle_faults(broken, public(tmp_path, mine))[0]


def test_what_is_no_bundle_is_told(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no zip")
    assert "cannot be read as a bundle" in bundle_faults(tmp_path / "a.zip")[0]


def test_it_runs_alone_on_the_standard_library(tmp_path):
    script = Path(shutil.copy(verify_bundle.__file__, tmp_path / "verify_bundle.py"))
    path, key = (
        written(tmp_path / "run.zip", key=(mine := Ed25519PrivateKey.generate())),
        public(tmp_path, mine),
    )

    def told(*words):
        command = [sys.executable, "-I", "-S", str(script), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = told(path, "--key", key)
    assert (done.returncode, done.stdout) == (0, "run.zip: 0 fault(s), signature checked\n")
    done = told(changed(path, **{"facts.json": b""}))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == "facts.json: was changed\nrun.zip: 1 fault(s), signature not checked\n"
    for words in ((tmp_path / "none.zip",), (path, "--key", tmp_path)):
        done = told(*words)
        assert (done.returncode, done.stderr) == (1, "")
        assert "no such file" in done.stdout
