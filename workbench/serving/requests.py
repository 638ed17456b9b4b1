"""What a request may say: strict JSON, checked against the contract, every fault told at once and no
value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError, create_model

from workbench.errors import near_name
from workbench.scorer import Floats
from workbench.scoring.contract import Contract
from workbench.scoring.contract import Field as ContractField

MOST_FAULTS = 50
_ID = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"
_RIGHT = {
    "missing": "missing; a number, or null where there is none, is right",
    "float_type": "not a number; a number or null is right",
    "finite_number": "not finite; a number or null is right",
}


class BadRequestError(Exception):
    """The request cannot be decided; `faults` say why, without a value of the applicant."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults[:MOST_FAULTS]
        super().__init__(f"{len(faults)} fault(s)")


def request_model(fields: Mapping[str, ContractField]) -> type[BaseModel]:
    """Return the model of a request whose features are these fields: all of them, numbers or null, nothing
    else."""
    strict = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    about = {name: (float | None, Field(description=_described(field))) for name, field in fields.items()}
    features = create_model("Features", __config__=strict, **about)  # type: ignore[call-overload]
    named = StrictStr | StrictInt
    return create_model(
        "DecisionRequest",
        __config__=strict,
        applicant_id=(
            named,
            Field(description="letters, digits and . _ : - (at most 64), or a whole number"),
        ),
        features=(features, ...),
    )


def parse_request(body: bytes, model: type[BaseModel]) -> tuple[str, dict[str, float | None]]:
    """Return the applicant's id as text and the features by name; raises BadRequestError with every fault."""
    try:
        values = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise BadRequestError(["the body is not UTF-8"]) from None
    except _RepeatedError:
        raise BadRequestError(["a name stands twice in one object"]) from None
    except _ConstantError:
        raise BadRequestError(
            ["NaN and Infinity are no JSON; null is right for a value that is missing"]
        ) from None
    except RecursionError:
        raise BadRequestError(["the body is nested too deeply"]) from None
    except ValueError:
        raise BadRequestError(["the body is not JSON"]) from None
    try:
        found: Any = model.model_validate(values)
    except ValidationError as error:
        raise BadRequestError(_faults(error, model)) from None
    identity = _identity(found.applicant_id)
    return identity, found.features.__dict__


def row_of(features: Mapping[str, float | None], contract: Contract) -> Floats:
    """Return features as the scorer of a contract takes them [1, fields]; missing is NaN."""
    values = [features[name] for name in contract.names]
    return np.array([[np.nan if value is None else value for value in values]], dtype=np.float64)


class _RepeatedError(Exception): ...


class _ConstantError(Exception): ...


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RepeatedError
    return found


def _no_constant(_: str) -> Any:
    raise _ConstantError


def _identity(value: str | int) -> str:
    import re

    text = str(value)
    if not re.fullmatch(_ID, text, re.ASCII):
        raise BadRequestError(["applicant_id: at most 64 of the letters a-z, digits and . _ : - are right"])
    return text


def _described(field: ContractField) -> str:
    ends = [f"at least {field.minimum:g}"] if field.minimum is not None else []
    ends += [f"at most {field.maximum:g}"] if field.maximum is not None else []
    ends += [] if field.may_be_missing else ["may not be null"]
    return "; ".join([f"{field.source}, in {field.unit or 'no unit'}", *ends])


def _faults(error: ValidationError, model: type[BaseModel]) -> list[str]:
    features = model.model_fields["features"].annotation
    known = list(getattr(features, "model_fields", {}))
    told = []
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        place = [str(part) for part in one["loc"]]
        if one["type"] == "extra_forbidden":
            near = near_name(place[-1][:64], known if place[0] == "features" else list(model.model_fields))
            told.append(f"an unknown name in {'features' if len(place) > 1 else 'the request'}{near}")
        elif place[:1] == ["applicant_id"]:
            told.append("applicant_id: missing, or neither text nor a whole number")
        elif len(place) == 2:
            told.append(
                f"features.{place[1]}: {_RIGHT.get(one['type'], 'not a number; a number or null is right')}"
            )
        else:
            told.append(f"{'.'.join(place[:1]) or 'the body'}: an object with the contract's names is right")
    return list(dict.fromkeys(told))
