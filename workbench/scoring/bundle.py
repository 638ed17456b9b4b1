"""The scoring bundle: one file that holds a frozen scorer, of which no byte can change unnoticed."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from workbench.errors import DataError
from workbench.scorer import Floats, load_scorer
from workbench.scoring.contract import load_contract
from workbench.scoring.engines import EngineName, largest_gap
from workbench.scoring.frozen import FrozenScorer, ReasonMethod, ReviewBand
from workbench.scoring.reasons import Families, Rule
from workbench.scoring.reference import ReferenceCounts

FORMAT = 1
ABOUT, MODEL, ONNX, REFERENCE = "bundle.json", "model.ubj", "model.onnx", "reference.int32"
_UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, OSError)
MOST_BYTES = 1 << 30  # of a member: more is no booster
_DAY = (1980, 1, 1, 0, 0, 0)  # of every member: the same scorer gives the same bytes
TOLERANCE = 1e-6
"""Largest difference in PD between engines, and from the PDs that were frozen."""
GOLDEN_ROWS, MISSING_SHARE = 16, 0.1


def pack(frozen: FrozenScorer, *, seed: int) -> bytes:
    """Return the bundle of a frozen scorer: the same scorer and seed give the same bytes.

    It keeps `GOLDEN_ROWS` made-up applicants with their PDs, on which every opening checks every engine.
    """
    members = {MODEL: bytes(frozen.scorer.booster.save_raw("ubj")), ONNX: frozen.onnx}
    if frozen.reasons.reference is not None:
        members[REFERENCE] = _table(frozen.reasons.reference)
    rows = golden_rows(frozen, seed=seed)
    about = _about(frozen) | {
        "golden": {"rows": _numbers(rows), "prob_default": frozen.prob_default(rows).tolist()},
        "members": {name: _sha256(content) for name, content in sorted(members.items())},
    }
    about["sha256"] = _digest(about)
    text = json.dumps(about, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return _zipped({ABOUT: text.encode(), **members})


def unpack(content: bytes, *, sha256: str = "", engine: EngineName = "xgboost") -> tuple[FrozenScorer, str]:
    """Return the frozen scorer of a bundle and the bundle's SHA-256.

    `sha256` is the one that the bundle must have, where it is known. Every member is compared with its hash,
    the file with what packing its members again gives, and the PDs of the made-up applicants, by XGBoost and
    by ONNX Runtime, with those that were frozen.

    Raises:
        DataError: with everything that is not as it was frozen.
    """
    found = _sha256(content)
    if sha256 and found != sha256:
        raise DataError("the scoring bundle is another one", [f"its SHA-256 is {found}, {sha256} is right"])
    about, members = _opened(content)
    try:
        frozen = _frozen(about, members)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        wrong = f"{ABOUT}: {type(error).__name__} where it is read"
        raise DataError("the scoring bundle is from another version", [wrong]) from error
    _check_golden(frozen, about["golden"])
    return frozen.on(engine), found


def golden_rows(frozen: FrozenScorer, *, seed: int) -> Floats:
    """Return made-up applicants [16, features]: drawn between the ends of what was seen, some missing."""
    generator = np.random.default_rng(seed)
    fields = frozen.contract.fields
    low, high = (np.array([getattr(field, end) or 0.0 for field in fields]) for end in ("low", "high"))
    rows: Floats = low + generator.random((GOLDEN_ROWS, len(fields))) * (high - low)
    rows[generator.random(rows.shape) < MISSING_SHARE] = np.nan
    return rows


def _about(frozen: FrozenScorer) -> dict[str, Any]:
    method, best = frozen.reasons, frozen.reasons.best
    return {
        "format": FORMAT,
        "evidence": dict(frozen.evidence),
        "scorer": frozen.scorer.as_dict(),
        "contract": frozen.contract.as_list(),
        "out_of_contract": frozen.out_of_contract,
        "counter_offer_points": frozen.counter_offer_points,
        "review_band": asdict(frozen.review_band) if frozen.review_band else None,
        "reasons": {
            "method": method.method,
            "shown": method.shown,
            "families": _family_of(frozen),
            "texts": dict(method.texts),
            "rules": [asdict(rule) for rule in method.rules],
            "best": None if best is None else [None if np.isnan(one) else float(one) for one in best],
            "compared_with": 0 if method.reference is None else method.reference.applicants,
        },
    }


def _frozen(about: Mapping[str, Any], members: Mapping[str, bytes]) -> FrozenScorer:
    if about["format"] != FORMAT:
        raise ValueError(about["format"])
    scorer, told = load_scorer(members[MODEL], about["scorer"]), about["reasons"]
    best = told["best"]
    method = ReasonMethod(
        told["method"],
        told["shown"],
        Families.of(told["families"], scorer.features),
        _reference(members[REFERENCE], told["compared_with"]) if REFERENCE in members else None,
        None if best is None else np.array([np.nan if one is None else one for one in best]),
        tuple(Rule(**rule) for rule in told["rules"]),
        told["texts"],
    )
    return FrozenScorer(
        scorer,
        load_contract(about["contract"]),
        method,
        members[ONNX],
        about["out_of_contract"],
        about["counter_offer_points"],
        ReviewBand(**about["review_band"]) if about["review_band"] else None,
        about["evidence"],
    )


def _family_of(frozen: FrozenScorer) -> dict[str, str]:
    names, families = frozen.scorer.features, frozen.reasons.families
    return {
        names[at]: code
        for code, places in zip(families.codes, families.members, strict=True)
        for at in places.tolist()
    }


def _check_golden(frozen: FrozenScorer, golden: Mapping[str, Any]) -> None:
    rows = np.array(golden["rows"], dtype=float)
    right = np.array(golden["prob_default"])
    engines: tuple[EngineName, ...] = ("xgboost", "onnx")
    gaps = {name: largest_gap(frozen.on(name).prob_default(rows), right) for name in engines}
    faults = [
        f"{name}: PDs differ from those frozen by up to {gap:.2g}; {TOLERANCE:g} is right"
        for name, gap in gaps.items()
        if not gap <= TOLERANCE
    ]
    if faults:
        raise DataError("the scoring bundle does not score as it was frozen", faults)


def _opened(content: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    right = "copy the bundle again from its run"
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(info.file_size > MOST_BYTES for info in archive.infolist()):
                raise zipfile.BadZipFile
            members = {name: archive.read(name) for name in archive.namelist()}
        about = json.loads(members.pop(ABOUT))
        named = dict(about["members"])
        own = about.pop("sha256")
    except (*_UNREADABLE, KeyError, ValueError, TypeError):
        raise DataError("this is no scoring bundle, or it is damaged", [right]) from None
    faults = [f"{ABOUT} was changed"] if _digest(about) != own else []
    faults += [f"{name} is missing" for name in named if name not in members]
    faults += [f"{name} does not belong there" for name in members if name not in named]
    faults += [
        f"{name} was changed" for name in members if named.get(name, "") not in ("", _sha256(members[name]))
    ]
    if not faults:
        whole = {ABOUT: _member(content, ABOUT), **members}
        faults = [] if _zipped(whole) == content else ["bytes around its members were changed"]
    if faults:
        raise DataError("the scoring bundle is not as it was frozen", [*faults, right])
    return about, members


def _member(content: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(name)


def _zipped(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, date_time=_DAY)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return stream.getvalue()


def _table(reference: ReferenceCounts) -> bytes:
    """Return leaf, holds and count [3, combinations] as little-endian whole numbers of 32 bits."""
    return np.stack([reference.leaf, reference.holds, reference.count]).astype("<i4").tobytes()


def _reference(content: bytes, applicants: int) -> ReferenceCounts:
    leaf, holds, count = np.frombuffer(content, dtype="<i4").reshape(3, -1).astype(np.int64)
    return ReferenceCounts(leaf, holds, count, applicants)


def _numbers(rows: Floats) -> list[list[float | None]]:
    return [[None if np.isnan(one) else float(one) for one in row] for row in rows]


def _digest(about: Mapping[str, Any]) -> str:
    return _sha256(json.dumps(about, sort_keys=True, separators=(",", ":")).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
