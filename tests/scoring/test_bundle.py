"""The scoring bundle: one scorer, the same bytes, and no byte that changes unnoticed."""

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from tests.scoring.making import NAMES, applicants, frozen
from workbench.errors import DataError
from workbench.explanation.decisions import rules_of
from workbench.params import ROOT
from workbench.scoring.bundle import ABOUT, ONNX, pack, unpack
from workbench.scoring.tables import decision_table

RULES = {"LOW": {"feature": "limit", "at_most": 2000.0}}


@pytest.fixture(scope="module")
def content():
    return pack(frozen(), seed=1)


@pytest.mark.parametrize("method", ["near_cutoff", "best_value"])
def test_what_is_opened_decides_as_what_was_packed(method):
    own = frozen("isotonic", method, rules=rules_of(RULES, NAMES), offer=10.0)
    packed = pack(own, seed=1)
    opened, _ = unpack(packed)
    assert decision_table(opened, applicants()).equals(decision_table(own, applicants()))
    assert pack(opened, seed=1) == packed


def test_another_process_packs_the_same_bytes(content):
    code = (
        "import hashlib; from tests.scoring.making import frozen; from workbench.scoring.bundle import pack; "
    )
    code += "print(hashlib.sha256(pack(frozen(), seed=1)).hexdigest())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == unpack(content)[1]


def test_no_byte_can_change_unnoticed(content):
    generator = np.random.default_rng(1)
    places = {0, 5, 10, 12, len(content) - 1, *generator.integers(0, len(content), 150).tolist()}
    for place in sorted(places):
        changed = bytearray(content)
        changed[place] ^= 1 << int(generator.integers(0, 8))
        with pytest.raises(DataError):
            unpack(bytes(changed))


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_a_truncated_or_lengthened_bundle_is_refused(content, kept):
    with pytest.raises(DataError, match="bundle"):
        unpack(content[:kept])
    with pytest.raises(DataError, match="not as it was frozen"):
        unpack(content + b"x")


def test_another_bundle_than_the_one_asked_for_is_refused(content):
    found = unpack(content)[1]
    assert unpack(content, sha256=found)[1] == found
    with pytest.raises(DataError, match="another one"):
        unpack(content, sha256="0" * 64)


def repacked(content, change):
    """The bundle with members changed, its own hashes left alone."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return stream.getvalue()


def test_every_changed_member_is_named(content):
    def change(members):
        members[ONNX] = b"x"
        members["more.txt"] = b"y"
        about = json.loads(members[ABOUT])
        members[ABOUT] = json.dumps(about | {"counter_offer_points": 99.0}).encode()

    with pytest.raises(DataError) as raised:
        unpack(repacked(content, change))
    assert set(raised.value.faults[:3]) == {
        f"{ABOUT} was changed",
        "more.txt does not belong there",
        f"{ONNX} was changed",
    }


def test_a_scorer_that_does_not_score_as_frozen_is_refused(content, monkeypatch):
    """As a library would that computes otherwise than the one that froze it."""
    from workbench.scoring import frozen as module

    real = module.onnx_margin
    monkeypatch.setattr(module, "onnx_margin", lambda session, matrix: real(session, matrix) + 1e-4)
    with pytest.raises(DataError) as raised:
        unpack(content)
    assert raised.value.faults[0].startswith("onnx: PDs differ from those frozen by up to")


def test_it_holds_nobodys_row(content):
    opened, _ = unpack(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        about = json.loads(archive.read(ABOUT))
    golden = {tuple(row) for row in about["golden"]["rows"]}
    assert not golden & set(applicants().select(NAMES).iter_rows())
    assert opened.reasons.reference.applicants == about["reasons"]["compared_with"]


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"not a bundle"])
def test_any_other_file_is_refused(content):
    with pytest.raises(DataError, match="no scoring bundle"):
        unpack(content)
