"""The register of findings: it only grows, and tells since when each is open and in how many runs."""

from hypothesis import given
from hypothesis import strategies as st

from workbench.finding_register import histories, register_findings

NAMES = ["F01", "F02", "F03"]


def one(name, subject="auc"):
    return {"id": name, "subject": subject, "title": f"T {name}", "severity": "high", "owner": "validator"}


def seen(register, run, on, *names):
    found = [one(name) for name in names]
    return register_findings(register, found, run=run, on=on, closing=lambda _: ("", "auc holds its line"))


def test_a_finding_ages_over_runs_and_is_closed_by_evidence():
    first = seen([], "a", "2026-01-01", "F01", "F02")
    second = seen(first, "b", "2026-02-01", "F01")
    told = histories(second)
    assert told[("F01", "auc")].runs == ("a", "b")
    assert told[("F01", "auc")].raised["on"] == "2026-01-01"
    assert not told[("F02", "auc")].is_open
    assert told[("F02", "auc")].last["evidence"] == "auc holds its line"
    assert told[("F02", "auc")].last["on"] == "2026-02-01"
    again = histories(seen(second, "c", "2026-03-01", "F01", "F02"))
    assert again[("F02", "auc")].is_open
    assert again[("F02", "auc")].raised["on"] == "2026-03-01"
    assert again[("F02", "auc")].runs == ("c",)


def test_a_finding_that_may_not_close_stays_open():
    first = seen([], "a", "2026-01-01", "F01")
    later = register_findings(first, [], run="b", on="2026-02-01", closing=lambda _: None)
    assert later == first


def test_the_same_run_seen_again_changes_nothing():
    first = seen([], "a", "2026-01-01", "F01", "F02")
    assert seen(first, "a", "2027-01-01", "F01", "F02") == first


@given(runs=st.lists(st.sets(st.sampled_from(NAMES)), max_size=6))
def test_the_register_only_grows_and_knows_what_is_open(runs):
    register = []
    for number, names in enumerate(runs):
        grown = seen(register, f"r{number}", f"2026-01-{number + 1:02}", *sorted(names))
        assert grown[: len(register)] == register
        assert seen(grown, f"r{number}", "2026-02-01", *sorted(names)) == grown
        register = grown
    opened = {key[0] for key, history in histories(register).items() if history.is_open}
    assert opened == (runs[-1] if runs else set())
