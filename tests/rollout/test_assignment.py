import hashlib
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import RolloutError
from workbench.rollout.assignment import canary_mask, in_canary, place_of

IDS = st.one_of(st.text(max_size=20), st.integers())
SHARES = st.floats(0, 1)


def test_an_applicant_has_the_same_place_in_every_process_and_at_all_times():
    assert place_of("17", salt="a") == 514315540433654399
    assert place_of(17, salt="a") == place_of("17", salt="a")


@given(IDS, st.text(max_size=8), SHARES, SHARES)
def test_who_is_in_a_share_is_in_every_larger_one(applicant, salt, one, other):
    small, large = sorted((one, other))
    assert in_canary(applicant, salt=salt, share=small) <= in_canary(applicant, salt=salt, share=large)


@given(IDS, st.text(max_size=8))
def test_nobody_is_in_none_and_everybody_in_all(applicant, salt):
    assert not in_canary(applicant, salt=salt, share=0.0)
    assert in_canary(applicant, salt=salt, share=1.0)


@given(st.lists(IDS, max_size=30), st.text(max_size=8), SHARES)
def test_many_at_once_are_assigned_as_one_by_one(applicants, salt, share):
    expected = [in_canary(one, salt=salt, share=share) for one in applicants]
    assert canary_mask(applicants, salt=salt, share=share).tolist() == expected


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_a_share_is_about_so_many_and_another_salt_draws_others(share):
    ids = range(40_000)
    mask, other = (canary_mask(ids, salt=salt, share=share) for salt in ("a", "b"))
    spread = 4 * np.sqrt(share * (1 - share) / 40_000)
    assert abs(mask.mean() - share) < spread
    assert abs((mask & other).mean() - share**2) < spread


def test_the_number_is_the_hash_over_all_hashes():
    number = int(hashlib.sha256(b"a\nx").hexdigest()[:16], 16)
    assert place_of("x", salt="a") == number
    assert not in_canary("x", salt="a", share=number / 2**64 - 1e-12)
    assert in_canary("x", salt="a", share=number / 2**64 + 1e-12)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_is_refused(share):
    with pytest.raises(RolloutError, match="from 0 to 1"):
        canary_mask(["1"], salt="", share=share)


def test_one_takes_less_than_five_microseconds():
    def seconds():
        begun = time.perf_counter()
        for number in range(5_000):
            in_canary(number, salt="a", share=0.05)
        return (time.perf_counter() - begun) / 5_000

    assert min(seconds() for _ in range(7)) < 5e-6
