"""One decision, from a checked request to what is told and what is logged."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.scoring.contract import flag_names
from workbench.scoring.frozen import BY, DECISIONS, Decided, beyond_numbers
from workbench.serving.deployment import Deployment
from workbench.serving.opening import OpenedBundle
from workbench.serving.requests import BadRequestError, row_of

SHADOW = "shadow"


def decide_one(
    deployment: Deployment, applicant_id: str, features: Mapping[str, float | None], *, begun: float, at: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the applicant is told and the row of the decision log, for whoever decides on them.

    `begun` is when the request came, by time.perf_counter, `at` the time that is logged. Raises
    BadRequestError with every field that breaks the contract where the bundle refuses.
    """
    role = deployment.role_of(applicant_id)
    opened = deployment.bundle_of(role)
    row = row_of(features, opened.frozen.contract)
    if opened.frozen.refused(row)[0] or beyond_numbers(row).any():
        faults = opened.frozen.contract.faults(row[0]) or ["a value is too large for a float32 number"]
        raise BadRequestError(faults)
    decided = opened.frozen.decide(row)
    reasons = _reasons(opened, decided)
    told = {
        "applicant_id": applicant_id,
        "decision": DECISIONS[decided.decision[0]],
        "prob_default": float(decided.prob_default[0]),
        "score": float(decided.score[0]),
        "review": bool(decided.review[0]),
        "reasons": reasons,
        "flags": flag_names(int(decided.flags[0])),
        "bundle_sha256": opened.sha256,
    }
    return told, _logged(told, decided, role, features, begun, at)


def shadow_rows(
    deployment: Deployment, applicant_id: str, features: Mapping[str, float | None], *, at: str
) -> list[dict[str, Any]]:
    """Return the rows of the decision log for what every shadow would have decided; whom one refuses has
    none."""
    rows = []
    for opened in deployment.shadows:
        begun = time.perf_counter()
        alone = Deployment(opened)
        try:
            _, row = decide_one(alone, applicant_id, features, begun=begun, at=at)
        except BadRequestError:
            continue
        rows.append(row | {"role": SHADOW})
    return rows


def inputs_sha256(features: Mapping[str, float | None]) -> str:
    """Return the SHA-256 of the features as JSON with sorted names: says what was decided on, without telling
    it."""
    text = json.dumps(dict(features), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _reasons(opened: OpenedBundle, decided: Decided) -> list[dict[str, Any]]:
    method, ranked = opened.frozen.reasons, decided.reasons
    if ranked is None:
        return []
    found = []
    for code, feature, points in zip(ranked.codes[0], ranked.features[0], ranked.points[0], strict=True):
        if code < 0:
            break
        name = method.codes[code]
        found.append(
            {
                "code": name,
                "text": method.texts.get(name, name),
                "feature": opened.frozen.contract.names[feature],
                "points_lost": None if np.isnan(points) else round(float(points), 6),
            }
        )
    return found


def _logged(
    told: Mapping[str, Any],
    decided: Decided,
    role: str,
    features: Mapping[str, float | None],
    begun: float,
    at: str,
) -> dict[str, Any]:
    short = [[reason["code"], reason["feature"], reason["points_lost"]] for reason in told["reasons"]]
    return {
        "at": at,
        "applicant_id": told["applicant_id"],
        "role": role,
        "bundle_sha256": told["bundle_sha256"],
        "inputs_sha256": inputs_sha256(features),
        "prob_default": told["prob_default"],
        "score": told["score"],
        "decision": told["decision"],
        "decided_by": BY[decided.by[0]],
        "review": int(told["review"]),
        "flags": " ".join(told["flags"]),
        "reasons": json.dumps(short, separators=(",", ":"), ensure_ascii=False),
        "milliseconds": round(1e3 * (time.perf_counter() - begun), 3),
    }
