import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from workbench.errors import DataError
from workbench.training import equal_risk
from workbench.training.equal_risk import equal_risk_approvals

TENTHS = st.integers(0, 9).map(lambda tenth: tenth / 9)
SAMPLES = st.lists(st.tuples(st.booleans(), TENTHS, TENTHS, st.booleans()), min_size=4, max_size=30).filter(
    lambda rows: len({row[0] for row in rows}) == 2
)
CHANCE = {"level": 0.95, "replicates": 50, "seed": 1}


def world(size, seed, likeness=0.8):
    """Outcomes, the PD that made them and one that is only like it."""
    draw = np.random.default_rng(seed)
    true = draw.normal(size=size)
    blurred = likeness * true + np.sqrt(1 - likeness**2) * draw.normal(size=size)
    bad = (draw.random(size) < 1 / (1 + np.exp(1.6 - 1.2 * true))).astype(int)
    return bad, norm.cdf(true), norm.cdf(blurred)


def everyone(bad):
    return {"all": np.ones(len(bad), dtype=bool)}


def compared(bad, champion, challenger, rate=0.6, **changes):
    options = {"approval_rate": rate, "parts": everyone(bad), **CHANCE, **changes}
    return equal_risk_approvals(bad, champion, {"challenger": challenger}, **options)


def by_hand(bad, champion, challenger, part, rate):
    """Risk and both shares by trying every cutoff."""
    cutoffs = [cut for cut in np.unique(champion) if (champion <= cut).mean() <= rate + 1e-12]
    approved = (champion <= max(cutoffs)) & part if cutoffs else np.zeros(bad.size, dtype=bool)
    if not approved.any():
        return None, None, None
    risk = bad[approved].mean()
    shares = []
    for prob in (champion, challenger):
        tried = [(prob <= cut) & part for cut in np.unique(prob)]
        held = [who.sum() / part.sum() for who in tried if who.any() and bad[who].mean() <= risk + 1e-12]
        shares.append(max(held, default=0.0))
    return risk, *shares


@settings(max_examples=60)
@given(SAMPLES, st.sampled_from([0.1, 0.3, 0.5, 0.75, 0.9]))
def test_shares_are_those_of_every_cutoff_tried(rows, rate):
    bad, champion, challenger, part = map(np.array, zip(*rows, strict=True))
    part[0] = True
    parts = {"all": np.ones(bad.size, dtype=bool), "part": part}
    found = equal_risk_approvals(
        bad.astype(int),
        champion,
        {"c": challenger},
        approval_rate=rate,
        parts=parts,
        **CHANCE | {"replicates": 3},
    )
    for row, who in zip(found.iter_rows(named=True), parts.values(), strict=True):
        shown = (row["risk"], row["approvals_with"], row["approvals_without"])
        assert shown == pytest.approx(by_hand(bad, champion, challenger, who, rate))


def test_a_worse_ranking_approves_fewer_at_the_same_risk():
    row = compared(*world(4_000, 1)).row(0, named=True)
    assert row["approvals_gain"] == pytest.approx(row["approvals_with"] - row["approvals_without"])
    assert row["low"] > 0.05
    assert row["approvals_with"] >= 0.6


def test_the_better_ranking_as_challenger_turns_the_sign():
    bad, champion, challenger = world(4_000, 1)
    assert compared(bad, challenger, champion).row(0, named=True)["high"] < -0.02


def test_the_same_ranking_gains_exactly_nothing():
    bad, champion, _ = world(1_000, 2)
    row = compared(bad, champion, champion**3 / 2).row(0, named=True)
    assert (row["approvals_gain"], row["low"], row["high"]) == (0, 0, 0)


def test_where_the_champion_approves_nobody_nothing_is_told():
    bad, _, challenger = world(500, 3)
    row = compared(bad, np.full(500, 0.3), challenger).row(0, named=True)
    assert row["risk"] is None
    assert row["approvals_gain"] is None
    assert row["low"] is None
    assert row["method"].startswith("undefined")


def test_a_part_is_held_to_its_own_risk_under_the_one_cutoff():
    bad, champion, challenger = world(3_000, 4)
    half = np.arange(3_000) % 2 == 0
    found = compared(bad, champion, challenger, parts={"all": half | ~half, "half": half})
    cutoff = np.quantile(champion, 0.6, method="inverted_cdf")
    assert found["part"].to_list() == ["all", "half"]
    assert found["risk"][1] == pytest.approx(bad[half & (champion <= cutoff)].mean())


def test_the_interval_covers_the_truth():
    """Truth from a million applicants; 80 samples, 3.5 standard errors of tolerance."""
    bad, champion, challenger = world(1_000_000, 99)
    line = bad[np.argsort(champion)][: int(0.6 * bad.size)].mean()
    worse = bad[np.argsort(challenger)]
    held = np.flatnonzero(np.cumsum(worse) / np.arange(1, bad.size + 1) <= line)
    truth, runs, covered = 0.6 - (held.max() + 1) / bad.size, 80, 0
    for seed in range(runs):
        row = compared(*world(1_200, seed), replicates=150, seed=seed).row(0, named=True)
        covered += row["low"] <= truth <= row["high"]
    assert abs(covered / runs - 0.95) < 3.5 * np.sqrt(0.95 * 0.05 / runs)


def test_neighbours_that_share_a_place_change_the_interval_little(monkeypatch):
    sample = world(6_000, 5)
    coarse = compared(*sample, replicates=200)
    monkeypatch.setattr(equal_risk, "CELLS", 10_000)
    fine = compared(*sample, replicates=200)
    assert coarse["approvals_gain"][0] == fine["approvals_gain"][0]
    assert coarse.select("low", "high").row(0) == pytest.approx(fine.select("low", "high").row(0), abs=2e-3)


def test_how_many_are_held_at_once_changes_nothing(monkeypatch):
    sample = world(800, 6)
    whole = compared(*sample)
    monkeypatch.setattr(equal_risk, "NUMBERS_AT_ONCE", 5_000)
    assert compared(*sample).equals(whole)


def test_the_same_seed_gives_the_same_table_and_another_does_not():
    sample = world(800, 6)
    assert compared(*sample).equals(compared(*sample))
    assert not compared(*sample, seed=2).equals(compared(*sample))


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5])
def test_a_rate_that_approves_all_or_nobody_is_refused(rate):
    with pytest.raises(DataError, match="Approvals cannot be compared"):
        compared(*world(100, 7), rate=rate)


def test_a_part_of_nobody_and_one_of_others_are_refused():
    parts = {"none": np.zeros(100, dtype=bool), "other": np.ones(99, dtype=bool)}
    with pytest.raises(DataError, match="Approvals cannot be compared") as caught:
        compared(*world(100, 7), parts=parts)
    assert caught.value.faults == (
        "nobody is in the part none",
        "the part other tells of 99 of 100 applicants",
    )


def test_a_broken_sample_is_refused():
    with pytest.raises(DataError, match="at least one of each"):
        compared(np.zeros(10), np.full(10, 0.1), np.full(10, 0.1))
    with pytest.raises(DataError, match="challenger is missing in 10"):
        compared(np.arange(10) % 2, np.full(10, 0.1), np.full(10, np.nan))
