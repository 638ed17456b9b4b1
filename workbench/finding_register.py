"""The register of findings: when each was raised, seen again in a later run, and closed; it only grows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Event = Mapping[str, Any]
Key = tuple[str, str]
"""A finding's id and its subject, such as F01 and validation.auc."""
Closing = tuple[str, str]
"""The day on which a finding was closed, empty for the day of the run, and by what evidence."""
KEPT = ("title", "severity", "owner")
"""What the register keeps of a finding, for when nothing else tells it any more."""


@dataclass(frozen=True)
class History:
    """What the register tells of a finding: since when it is open, in which runs, and when it was closed."""

    raised: Event
    runs: tuple[str, ...]
    last: Event

    @property
    def is_open(self) -> bool:
        """Whether the last event is not its closing."""
        return bool(self.last["event"] != "closed")


def histories(register: Iterable[Event]) -> dict[Key, History]:
    """Return the history of each finding; one that was closed and raised again counts from then on."""
    found: dict[Key, History] = {}
    for event in register:
        key = (event["finding"], event["subject"])
        known = found.get(key)
        if known is None or not known.is_open:
            found[key] = History(event, (event["run"],), event)
        else:
            runs = known.runs if event["run"] in known.runs else (*known.runs, event["run"])
            found[key] = History(known.raised, runs, event)
    return found


def register_findings(
    known: Sequence[Event],
    raised: Iterable[Mapping[str, Any]],
    *,
    run: str,
    on: str,
    closing: Callable[[Key], Closing | None],
) -> list[dict[str, Any]]:
    """Return the register with what is new: raised, seen in this run for the first time, or closed.

    `raised` has id, subject, title, severity and owner of what is found now, and may have raised_on; `on` is
    the day of what has none. `closing` says on which day and by what evidence a finding that is not raised
    any more is closed; it stays open where that is None. Entries are never changed or removed.
    """
    before, register = histories(known), [dict(event) for event in known]
    found = {(one["id"], one["subject"]): one for one in raised}
    for key, one in found.items():
        history = before.get(key)
        if history is None or not history.is_open or run not in history.runs:
            is_new = history is None or not history.is_open
            day = (one.get("raised_on") if is_new else "") or on
            event = "raised" if is_new else "seen"
            register.append(_event(key, event, day, run, "") | {name: one[name] for name in KEPT})
    for key, history in before.items():
        if history.is_open and key not in found and (closed := closing(key)):
            kept = {name: history.raised[name] for name in KEPT}
            register.append(_event(key, "closed", closed[0] or on, run, closed[1]) | kept)
    return register


def _event(key: Key, event: str, on: str, run: str, evidence: str) -> dict[str, Any]:
    return {
        "finding": key[0],
        "subject": key[1],
        "event": event,
        "on": on,
        "run": run,
        "evidence": evidence,
    }
