"""The kinds of values that the sections of a study are made of, and the base of every section."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Share = Annotated[float, Field(gt=0, lt=1)]
Level = Annotated[float, Field(ge=0.5, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Count = Annotated[int, Field(ge=1)]
Replicates = Annotated[int, Field(ge=100, le=100_000)]
Variable = Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")]
Range = Annotated[list[float], Field(min_length=2, max_length=2)]


def rising(values: list[Any]) -> list[Any]:
    """Return the values; raises ValueError unless they rise without repeats."""
    if sorted(set(values)) != values:
        raise ValueError("values must rise without repeats")
    return values


def once(names: list[str]) -> list[str]:
    """Return the names; raises ValueError when one is there twice."""
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"named twice: {', '.join(repeated)}; name each once")
    return names


def of_calendar(text: str) -> str:
    """Return a day, a month or an empty text; raises ValueError for one that no calendar has."""
    try:
        date.fromisoformat(f"{text}-01"[:10] if text else "2000-01-01")
    except ValueError as error:
        raise ValueError(f"not of the calendar ({error})") from None
    return text


Lines = Annotated[Range, AfterValidator(rising)]
Date = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$"), AfterValidator(of_calendar)]
Day = Annotated[str, Field(pattern=r"^(\d{4}-\d{2}-\d{2})?$"), AfterValidator(of_calendar)]
Month = Annotated[str, Field(pattern=r"^(\d{4}-\d{2})?$"), AfterValidator(of_calendar)]


def complete_with(names: tuple[str, ...]) -> AfterValidator:
    """Return the validator of a mapping that must hold every name."""

    def complete(values: dict[str, Any]) -> dict[str, Any]:
        if missing := [name for name in names if name not in values]:
            raise ValueError(f"lacks {', '.join(missing)}")
        return values

    return AfterValidator(complete)


class Section(BaseModel):
    """Base of every section: frozen, strict about types, refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
