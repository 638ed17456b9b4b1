"""The commands about packs; signing is in test_provenance.py."""

from tests.pipeline.running import call_here, command, refused


def said(*words):
    done = call_here(command("packs", *words))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_packs_are_checked_and_listed_on_a_day():
    told = said("--on", "2026-11-26")
    for name in ("us: United States", "eu: European Union", "international: International standards"):
        assert name in told
    assert "US-06  Conceptual soundness" in told
    assert "US-12" not in told


def test_two_days_are_compared_in_either_order():
    told = said("us", "--on", "2026-03-01", "--against", "2026-05-01")
    assert said("us", "--on", "2026-05-01", "--against", "2026-03-01") == told
    assert "us: from 2026-03-01 to 2026-05-01" in told
    assert "- US-12" in told
    assert "until 2026-04-16" in told
    assert "+ US-05" in told


def test_days_between_which_nothing_changes():
    assert said("indonesia", "--on", "2026-11-01", "--against", "2026-11-02").endswith("nothing changes\n")


def test_drafts_are_listed_as_such_and_not_counted_as_in_force():
    told = said("india", "--on", "2026-11-26")
    assert "7 requirement(s) in force, 1 to come, 1 draft(s)" in told
    assert "whole draft (draft, P)" in told
    assert "(voluntary, Q)" in told
    before = said("india", "--on", "2026-06-23")
    assert "7 requirement(s) in force, 1 to come, 0 draft(s)" in before
    assert "IN-04" not in before
    assert "IN-04" not in said("india", "--on", "2026-06-23", "--against", "2026-06-25")


def test_on_request_it_is_told_how_far_each_was_checked_and_against_what():
    told = said("kenya", "--on", "2026-11-26", "--sources")
    assert "text S, first day 2024-02-09 P, looked at 2026-11-26: https://new.kenyalaw.org/" in told
    assert "Ruling read at https://new.kenyalaw.org/" in told
    assert "looked at" not in said("kenya", "--on", "2026-11-26")


def test_a_pack_that_was_checked_long_ago_is_told():
    assert "last checked more than a year before" in said("us", "--on", "2027-12-01")
    assert "last checked more than a year before" not in said("us", "--on", "2027-11-23")


def test_what_is_wrong_is_told_without_a_traceback():
    refused(call_here(command("packs", "--on", "yesterday")), "--on yesterday: no day", "YYYY-MM-DD is right")
    refused(call_here(command("packs", "usa")), "pack usa: no such pack (did you mean us?)")
