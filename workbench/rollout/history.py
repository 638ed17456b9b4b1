"""What happened to the versions of a model: a chain of lines that only grows, and the stages it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from workbench.errors import RolloutError
from workbench.store import digest

Stage = Literal["shadow", "canary", "champion", "retired"]
SHADOW, CANARY, CHAMPION, RETIRED = STAGES = get_args(Stage)
REGISTERED = "registered"
"""Where a version is before its first line."""
FIRST = "0" * 64
MOST_WORDS = 500


@dataclass(frozen=True)
class Approver:
    """Who answers for a change of stage."""

    name: str
    role: str

    @classmethod
    def of(cls, text: str) -> Approver:
        """Read "Name, role"; raises RolloutError where either is missing or not plain text."""
        name, _, role = (part.strip() for part in text.partition(","))
        faults = [f"{what}: missing" for what, one in (("name", name), ("role", role)) if not one]
        faults += plain_faults("approver", text)
        if faults:
            raise RolloutError("nobody answers for this change", [*faults, 'right: --approver "Name, role"'])
        return cls(name, role)


@dataclass(frozen=True)
class Change:
    """A version that goes from one stage to another; `share` is the canary's."""

    version: int
    before: str
    after: str
    share: float = 0.0


@dataclass(frozen=True)
class Line:
    """One entry of the history: a promotion, a rollback, or a comparison that was looked at.

    `at` is in UTC, `gates` the table that was met, `evidence` hashes by name, `comparison` what
    `compare_paired` or `compare_arms` said with the hashes of both bundles.
    """

    number: int
    at: str
    kind: Literal["promotion", "rollback", "comparison"]
    name: str
    role: str
    why: str
    changes: tuple[Change, ...] = ()
    gates: tuple[Mapping[str, Any], ...] = ()
    evidence: Mapping[str, str] = field(default_factory=dict)
    comparison: Mapping[str, Any] = field(default_factory=dict)
    previous: str = FIRST

    @property
    def digest(self) -> str:
        """SHA-256 of the line with that of the line before it."""
        return digest(asdict(self))

    def as_dict(self) -> dict[str, Any]:
        """Return the line as JSON holds it, with its digest."""
        return {**asdict(self), "digest": self.digest}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Line:
        """Read a line; raises RolloutError for one that was edited."""
        try:
            told = {key: value for key, value in values.items() if key != "digest"}
            told["changes"] = tuple(Change(**change) for change in told["changes"])
            line = cls(**told | {"gates": tuple(told["gates"])})
            if line.digest == values["digest"]:
                return line
        except (KeyError, TypeError):
            pass
        number = values.get("number", "?")
        raise RolloutError(
            "the history of the rollout was edited", [f"line {number} is not what was written"]
        )


@dataclass(frozen=True)
class State:
    """Where each version is: `champions` are those to roll back to, the present one last."""

    stages: Mapping[int, str] = field(default_factory=dict)
    share: float = 0.0
    champions: tuple[int, ...] = ()

    def of(self, version: int) -> str:
        """Return a version's stage."""
        return self.stages.get(version, REGISTERED)

    def at(self, stage: str) -> list[int]:
        """Return the versions at a stage in order."""
        return sorted(version for version, found in self.stages.items() if found == stage)

    @property
    def champion(self) -> int | None:
        """The version that decides; None before the first."""
        return next(iter(self.at(CHAMPION)), None)

    @property
    def canary(self) -> int | None:
        """The version that decides on the share; None without one."""
        return next(iter(self.at(CANARY)), None)

    def after(self, line: Line) -> State:
        """Return the state that a line leads to."""
        stages, share, champions = dict(self.stages), self.share, self.champions
        for change in line.changes:
            stages[change.version] = change.after
            if change.after == CANARY:
                share = change.share
            if change.after == CHAMPION:
                back = line.kind == "rollback"
                champions = champions[:-1] if back else (*champions, change.version)
        return State(stages, share if CANARY in stages.values() else 0.0, champions)


def replay(lines: Sequence[Line]) -> State:
    """Return the state that a whole history leads to.

    Raises:
        RolloutError: a line that is missing, doubled or not in the chain, or two champions.
    """
    state, previous = State(), FIRST
    for number, line in enumerate(lines, start=1):
        if line.number != number or line.previous != previous:
            wrong = f"line {number} is missing, or does not follow the one before"
            raise RolloutError("the history of the rollout was edited", [wrong])
        state, previous = state.after(line), line.digest
        for stage in (CHAMPION, CANARY):
            if len(state.at(stage)) > 1:
                raise RolloutError("the history of the rollout was edited", [f"line {number}: two {stage}s"])
    return state


def promotion(state: State, version: int, to: str, share: float = 0.0) -> tuple[Change, ...]:
    """Return the changes that bring a version to a stage; none where it is there already.

    A new champion retires the old one. Raises RolloutError for what cannot be: a share outside (0, 1) or
    beside another stage, a canary without a champion, a second canary, a champion that leaves by itself.
    """
    now, faults = state.of(version), []
    if to not in STAGES:
        faults.append(f"--to {to}: no stage; stages: {', '.join(STAGES)}")
    if to == CANARY and not 0 < share < 1:
        faults.append(f"--share {share:g}: between 0 and 1 is right")
    if to != CANARY and share:
        faults.append(f"--share {share:g}: only a canary has one")
    if to == CANARY and state.champion is None:
        faults.append("there is no champion to decide on all others")
    if to == CANARY and state.canary not in (None, version):
        faults.append(f"version {state.canary} is canary: promote or retire it first")
    if now == CHAMPION and to in (SHADOW, CANARY, RETIRED):
        faults.append(f"version {version} is champion: promote another, or: workbench rollback")
    if to == RETIRED and now == REGISTERED:
        faults.append(f"version {version} is at no stage")
    if faults:
        raise RolloutError(f"version {version} ({now}) cannot go to {to}", faults)
    if now == to and (to != CANARY or share == state.share):
        return ()
    old = [Change(state.champion, CHAMPION, RETIRED)] if to == CHAMPION and state.champion else []
    return (*old, Change(version, now, to, share))


def rollback(state: State) -> tuple[Change, ...]:
    """Return the changes that make the previous champion champion again and withdraw the canary.

    Raises:
        RolloutError: there was no champion before this one.
    """
    if len(state.champions) < 2:
        only = f"version {state.champion} is the first champion" if state.champion else "there is no champion"
        raise RolloutError("nothing to roll back to", [only])
    old, now = state.champions[-2:]
    canary = [Change(one, CANARY, RETIRED) for one in state.at(CANARY) if one != old]
    return (Change(now, CHAMPION, RETIRED), *canary, Change(old, state.of(old), CHAMPION))


def plain_faults(what: str, text: str) -> list[str]:
    """Return what is wrong with words of a person: control characters, or too many."""
    faults = [f"{what}: has control characters"] if not text.isprintable() else []
    return faults + ([f"{what}: more than {MOST_WORDS} characters"] if len(text) > MOST_WORDS else [])
