from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import RolloutError
from workbench.rollout.history import (
    FIRST,
    Approver,
    Line,
    State,
    promotion,
    replay,
    rollback,
)


def grown(*steps):
    """The lines that steps make: (version, stage[, share]), or "back"; what is refused makes none."""
    lines = []
    for step in steps:
        state = replay(lines)
        try:
            changes = rollback(state) if step == "back" else promotion(state, *step)
        except RolloutError:
            continue
        kind = "rollback" if step == "back" else "promotion"
        previous = lines[-1].digest if lines else FIRST
        lines.append(
            Line(len(lines) + 1, "2026-11-26T00:00:00Z", kind, "A", "b", "c", changes, previous=previous)
        )
    return lines


def test_a_new_champion_retires_the_old_and_a_rollback_brings_it_back():
    state = replay(
        grown((1, "champion"), (2, "shadow"), (2, "canary", 0.05), (2, "champion"), (3, "canary", 0.1))
    )
    assert (state.champion, state.canary, state.share, state.of(1)) == (2, 3, 0.1, "retired")
    lines = grown((1, "champion"), (2, "champion"), (3, "canary", 0.1), "back")
    state = replay(lines)
    assert dict(state.stages) == {1: "champion", 2: "retired", 3: "retired"}
    assert state.share == 0
    with pytest.raises(RolloutError, match="first champion"):
        rollback(state)
    assert replay(grown((1, "champion"), (2, "champion"), (1, "champion"), "back")).champion == 2


@pytest.mark.parametrize(
    ("steps", "asked", "told"),
    [
        ([], (1, "canary", 0.05), "no champion"),
        ([(1, "champion")], (2, "canary", 0.0), "between 0 and 1"),
        ([(1, "champion")], (2, "canary", 1.0), "between 0 and 1"),
        ([(1, "champion")], (2, "canary", float("nan")), "between 0 and 1"),
        ([(1, "champion")], (2, "shadow", 0.1), "only a canary"),
        ([(1, "champion"), (2, "canary", 0.1)], (3, "canary", 0.1), "version 2 is canary"),
        ([(1, "champion")], (1, "retired"), "version 1 is champion"),
        ([(1, "champion")], (1, "shadow"), "version 1 is champion"),
        ([], (1, "retired"), "at no stage"),
        ([], (1, "boss"), "no stage; stages: shadow, canary, champion, retired"),
    ],
)
def test_what_cannot_be_is_refused(steps, asked, told):
    with pytest.raises(RolloutError, match=told):
        promotion(replay(grown(*steps)), *asked)


def test_the_same_again_changes_nothing_and_another_share_does():
    state = replay(grown((1, "champion"), (2, "canary", 0.05)))
    assert promotion(state, 1, "champion") == ()
    assert promotion(state, 2, "canary", 0.05) == ()
    (change,) = promotion(state, 2, "canary", 0.1)
    assert (change.before, change.after, change.share) == ("canary", "canary", 0.1)


STEPS = st.one_of(
    st.just("back"),
    st.tuples(st.integers(1, 4), st.sampled_from(["shadow", "champion", "retired"])),
    st.tuples(st.integers(1, 4), st.just("canary"), st.floats(0, 1)),
)


@given(st.lists(STEPS, max_size=20))
def test_whatever_happens_there_is_one_champion_and_one_canary_at_most(steps):
    lines = grown(*steps)
    state = replay(lines)
    assert len(state.at("champion")) == (1 if state.champions else 0)
    assert state.champions[-1:] == tuple(state.at("champion"))
    assert len(state.at("canary")) <= 1
    assert (state.share > 0) == bool(state.canary)
    assert [Line.of(line.as_dict()) for line in lines] == lines


def test_an_edited_a_missing_and_a_forged_line_are_seen():
    lines = grown((1, "champion"), (2, "shadow"), (2, "champion"))
    with pytest.raises(RolloutError, match="line 2 is not what was written"):
        Line.of(lines[1].as_dict() | {"why": "another"})
    with pytest.raises(RolloutError, match="line 2"):
        replay([lines[0], lines[2]])
    with pytest.raises(RolloutError, match="line 3"):
        replay([lines[0], replace(lines[1], why="another"), lines[2]])
    two = replace(lines[2], changes=lines[2].changes[1:])
    with pytest.raises(RolloutError, match="two champions"):
        replay([*lines[:2], two])
    with pytest.raises(RolloutError, match="line \\?"):
        Line.of({})


@pytest.mark.parametrize("text", ["", "A", "A,", ",b", "A,  ", "A\x07, b", "A\n, b", "A, " + "b" * 600])
def test_an_approver_has_a_name_and_a_role_in_plain_text(text):
    with pytest.raises(RolloutError, match="Name, role"):
        Approver.of(text)
    assert Approver.of(" Ada Obi , head of credit, risk") == Approver("Ada Obi", "head of credit, risk")


def test_before_everything_nobody_is_anything():
    assert State().of(7) == "registered"
    assert State().champion is None
