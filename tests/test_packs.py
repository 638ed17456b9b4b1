import re
from datetime import date, timedelta
from urllib.parse import urlsplit

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.test_requirements import ASKED
from workbench.errors import ParamsError
from workbench.packs import (
    ALLOWED,
    CONDITIONAL,
    CONSENT_GIVEN,
    CONSENT_MISSING,
    FOLDER,
    PROHIBITED,
    VERDICTS,
    judge_sources,
    load_pack,
    load_packs,
    permission_faults,
    prohibited,
)

PACKS = ("brazil", "eu", "india", "indonesia", "international", "kenya", "nigeria", "philippines", "uk", "us")
# The last row of each country in the catalogue; a letter after the number marks a part of a row.
LAST = {"us": ("US", 31), "eu": ("EU", 30), "uk": ("UK", 24), "kenya": ("KE", 9), "india": ("IN", 9)}
LAST |= {"nigeria": ("NG", 8), "brazil": ("BR", 9), "philippines": ("PH", 4), "indonesia": ("ID", 4)}
LAST |= {"international": ("XX", 8)}
PUBLIC = re.compile(
    r"(^|\.)(europa\.eu|ecfr\.gov|cornell\.edu|ncua\.gov|legislation\.gov\.uk|bankofengland\.co\.uk"
    r"|rbi\.org\.in|meity\.gov\.in|kenyalaw\.org|fccpc\.gov\.ng|planalto\.gov\.br|privacy\.gov\.ph"
    r"|ojk\.go\.id)$"
)
CATEGORIES = ["payment_history", "utility", "social_media", "health", "contacts", "bureau", "demographic"]
DAY = date(2026, 11, 26)
RULE = {
    "kind": "data",
    "id": "ZZ-01",
    "categories": ["utility"],
    "effect": "consent",
    "instrument": "Act",
    "clause": "s. 1",
    "applies_from": date(2026, 3, 1),
    "applies_until": date(2026, 3, 31),
    "source": "https://law.example.org/act",
    "status": "P",
    "checked_on": DAY,
    "text": "A sentence.",
}


def write(folder, *rules, **changes):
    """A pack zz of the rules given, each a change of RULE."""
    values = {"pack": "zz", "title": "Z", "checked_on": DAY, "rules": [{**RULE, **rule} for rule in rules]}
    (folder / "zz.yaml").write_text(yaml.safe_dump({**values, **changes}), encoding="utf-8")
    return folder


def error_of(folder, name="zz"):
    with pytest.raises(ParamsError) as caught:
        load_pack(name, folder)
    return caught.value


def only(category, pack, on, *, consent=True, folder=FOLDER):
    return judge_sources({"s": (category, consent)}, [pack], on, folder=folder).row(0, named=True)


# The packs of the repository


def test_the_folder_holds_the_packs():
    assert tuple(sorted(path.stem for path in FOLDER.iterdir())) == PACKS


@pytest.mark.parametrize("name", PACKS)
def test_every_pack_is_whole(name):
    pack = load_pack(name)
    assert pack.pack == name
    # Every row was looked at when the pack was, single ones again since.
    assert all(pack.checked_on <= one.checked_on <= DAY for one in (*pack.rules, *pack.requirements))
    ids = [rule.id for rule in pack.rules]
    assert ids == sorted(set(ids))
    prefix, last = LAST[name]
    assert all(rule[:2] == prefix and 1 <= int(rule[3:5]) <= last for rule in ids)


@pytest.mark.parametrize("name", PACKS)
def test_every_row_of_the_catalogue_is_a_requirement_and_no_other_is(name):
    prefix, last = LAST[name]
    ids = {asked.id for asked in load_pack(name).requirements}
    assert {f"{prefix}-{n:02}" for n in range(1, last + 1)} <= ids
    assert all(asked[:2] == prefix for asked in ids)


def test_standards_of_no_country_are_voluntary_and_have_no_rules():
    pack = load_pack("international")
    assert pack.rules == []
    assert {one.standing for one in pack.requirements} == {"voluntary"}
    assert only("health", "international", DAY, consent=False)["verdict"] == ALLOWED


@pytest.mark.parametrize(
    ("name", "drafts"),
    [
        ("us", set()),
        ("uk", {"UK-20", "UK-24"}),
        ("india", {"IN-04"}),
        ("kenya", {"KE-06"}),
        ("brazil", {"BR-06", "BR-07", "BR-08"}),
        ("philippines", {"PH-03"}),
    ],
)
def test_drafts_are_marked_and_never_in_force(name, drafts):
    pack = load_pack(name)
    assert {one.id for one in pack.requirements if one.standing == "draft"} == drafts
    for on in (DAY, date(2040, 1, 1)):
        assert not drafts & {one.id for one in pack.in_force(on)}


@pytest.mark.parametrize(
    ("day", "times"),
    [("2023-08-27", 1), ("2023-08-28", 0), ("2024-02-08", 0), ("2024-02-09", 1)],
)
def test_regulations_that_a_court_annulled_do_not_apply_until_it_is_suspended(day, times):
    asked = [one.id for one in load_pack("kenya").in_force(date.fromisoformat(day))]
    assert asked.count("KE-07") == times


def test_no_two_packs_share_a_rule_id():
    ids = [rule.id for pack in load_packs(PACKS) for rule in pack.rules]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", PACKS)
def test_every_rule_leads_to_a_public_page_of_the_law_and_is_one_sentence(name):
    for rule in load_pack(name).rules:
        address = urlsplit(rule.source)
        assert address.scheme == "https"
        assert PUBLIC.search(address.hostname), rule.id
        assert rule.text.endswith("."), rule.id
        assert not re.search(r"[.!?] [A-Z]", rule.text), rule.id


# Dates: both sides


@pytest.mark.parametrize(
    ("category", "pack", "consent", "first_day", "before", "after"),
    [
        ("social_media", "eu", True, date(2026, 11, 20), ALLOWED, PROHIBITED),
        ("health", "eu", True, date(2026, 11, 20), CONSENT_GIVEN, PROHIBITED),
        ("biometric", "eu", False, date(2026, 11, 20), CONSENT_MISSING, PROHIBITED),
        ("telecom_usage", "eu", False, date(2026, 11, 20), ALLOWED, CONDITIONAL),
        ("health", "eu", False, date(2018, 5, 25), ALLOWED, CONSENT_MISSING),
        ("contacts", "india", True, date(2025, 5, 8), ALLOWED, PROHIBITED),
        ("mobile_money", "india", False, date(2025, 5, 8), ALLOWED, CONSENT_MISSING),
        ("bureau", "india", False, date(2027, 5, 13), ALLOWED, CONSENT_MISSING),
        ("health", "us", True, date(2006, 4, 1), ALLOWED, PROHIBITED),
        ("demographic", "us", True, date(2011, 12, 30), ALLOWED, PROHIBITED),
        ("social_media", "us", True, date(2019, 12, 3), ALLOWED, CONDITIONAL),
        ("contacts", "kenya", True, date(2022, 4, 22), CONSENT_GIVEN, CONDITIONAL),
        ("mobile_money", "kenya", False, date(2022, 1, 14), ALLOWED, CONSENT_MISSING),
        ("utility", "uk", True, date(2024, 5, 17), ALLOWED, CONDITIONAL),
    ],
)
def test_a_rule_counts_from_its_first_day(category, pack, consent, first_day, before, after):
    assert only(category, pack, first_day - timedelta(days=1), consent=consent)["verdict"] == before
    assert only(category, pack, first_day, consent=consent)["verdict"] == after


def test_a_newer_rule_of_the_same_effect_is_cited_once_in_force():
    assert only("health", "uk", date(2026, 2, 4))["rule"] == "UK-21a"
    assert only("health", "uk", date(2026, 2, 5))["rule"] == "UK-19"


@pytest.mark.parametrize(
    ("on", "verdict"),
    [
        (date(2026, 2, 28), ALLOWED),
        (date(2026, 3, 1), CONSENT_MISSING),
        (date(2026, 3, 31), CONSENT_MISSING),
        (date(2026, 4, 1), ALLOWED),
    ],
)
def test_a_rule_counts_through_its_last_day(tmp_path, on, verdict):
    assert only("utility", "zz", on, consent=False, folder=write(tmp_path, {}))["verdict"] == verdict


# Verdicts


def test_the_law_of_a_verdict_is_in_its_row():
    row = only("social_media", "eu", DAY)
    assert row.pop("text").startswith("Creditworthiness may not be assessed")
    assert row == {
        "source": "s",
        "data_category": "social_media",
        "pack": "eu",
        "verdict": PROHIBITED,
        "rule": "EU-27",
        "instrument": "Directive (EU) 2023/2225",
        "clause": "Art. 18(3)",
        "applies_from": date(2026, 11, 20),
        "status": "S",
        "role": None,
    }


def test_a_conditional_verdict_names_who_owes_the_statement():
    assert only("income", "us", DAY)["role"] == "compliance officer"


def test_one_row_for_each_source_and_pack_in_the_order_given():
    sources = {"posts": ("social_media", True), "electricity": ("utility", False)}
    verdicts = judge_sources(sources, ["us", "eu"], DAY)
    found = list(verdicts.select("source", "pack", "verdict").iter_rows())
    assert found == [
        ("posts", "us", CONDITIONAL),
        ("posts", "eu", PROHIBITED),
        ("electricity", "us", ALLOWED),
        ("electricity", "eu", ALLOWED),
    ]
    assert verdicts.filter(source="electricity").select("rule", "text").null_count().row(0) == (2, 2)


def test_without_packs_or_sources_there_is_nothing_to_judge():
    nothing, none = judge_sources({"s": ("utility", True)}, [], DAY), judge_sources({}, ["eu"], DAY)
    assert nothing.is_empty()
    assert none.is_empty()
    assert nothing.schema == none.schema == judge_sources({"s": ("utility", True)}, ["eu"], DAY).schema
    assert prohibited(nothing) == permission_faults(nothing) == []


EFFECTS = {"prohibited": None, "consent": None, "conditional": "model owner"}


@pytest.mark.parametrize("consent", [True, False])
@pytest.mark.parametrize("order", [1, -1])
def test_the_worst_verdict_decides(tmp_path, consent, order):
    left = list(EFFECTS)
    expected = [PROHIBITED, CONDITIONAL, CONSENT_GIVEN] if consent else [PROHIBITED, CONSENT_MISSING]
    for worst in expected:
        rules = [{"id": f"ZZ-0{n}", "effect": e, "role": EFFECTS[e]} for n, e in enumerate(left[::order])]
        row = only("utility", "zz", date(2026, 3, 1), consent=consent, folder=write(tmp_path, *rules))
        assert row["verdict"] == worst
        left.remove(worst.split()[0])


@pytest.mark.parametrize("ids", [["ZZ-02", "ZZ-02a", "ZZ-10"], ["ZZ-10", "ZZ-02a", "ZZ-02"]])
def test_equals_are_decided_by_id(tmp_path, ids):
    folder = write(tmp_path, *({"id": rule} for rule in ids))
    assert only("utility", "zz", date(2026, 3, 1), folder=folder)["rule"] == "ZZ-02"


@given(
    category=st.sampled_from(CATEGORIES),
    pack=st.sampled_from(PACKS),
    on=st.dates(date(2000, 1, 1), date(2030, 1, 1)),
)
def test_a_consent_column_never_makes_a_verdict_worse(category, pack, on):
    sources = {"with": (category, True), "without": (category, False)}
    better, worse = judge_sources(sources, [pack], on)["verdict"]
    assert VERDICTS.index(better) >= VERDICTS.index(worse)
    assert better != CONSENT_MISSING
    assert worse != CONSENT_GIVEN
    assert (better == PROHIBITED) == (worse == PROHIBITED)


def test_a_source_is_prohibited_once_however_many_packs_say_so():
    sources = {"clinic": ("health", True), "bills": ("utility", True), "posts": ("social_media", True)}
    assert prohibited(judge_sources(sources, ["us", "eu"], DAY)) == ["clinic", "posts"]


# What stops a study


def test_a_prohibited_source_is_named_with_its_law():
    (fault,) = permission_faults(judge_sources({"posts": ("social_media", True)}, ["eu", "us"], DAY))
    assert fault == (
        "posts: social_media is prohibited under eu: Directive (EU) 2023/2225 Art. 18(3), since 2026-11-20 "
        "(EU-27, S); leave it out or set on_prohibited: drop"
    )


def test_missing_consent_stops_too_and_a_column_mends_it():
    sources = {"wallet": ("mobile_money", False), "airtime": ("telecom_usage", True)}
    (fault,) = permission_faults(judge_sources(sources, ["kenya"], DAY))
    assert fault.startswith(
        "wallet: mobile_money needs recorded consent under kenya: Data Protection Act, 2019 "
    )
    assert fault.endswith("(KE-02, S); name its consent column or leave it out")
    assert permission_faults(judge_sources({"wallet": ("mobile_money", True)}, ["kenya"], DAY)) == []


def test_a_condition_does_not_stop():
    assert permission_faults(judge_sources({"score": ("bureau", False)}, ["us", "kenya"], DAY)) == []


# Bad input


def test_unknown_categories_come_at_once_with_near_names():
    with pytest.raises(ParamsError) as caught:
        judge_sources({"a": ("social-media", True), "b": ("zzz", True), "c": ("health", True)}, ["eu"], DAY)
    assert caught.value.summary.startswith("2 unknown data categories; known are payment_history, ")
    assert caught.value.faults == (
        "a: unknown data category 'social-media' (did you mean social_media?)",
        "b: unknown data category 'zzz'",
    )


@pytest.mark.parametrize(
    ("name", "hint"), [("keyna", " (did you mean kenya?)"), ("../smoke", ""), ("", ""), ("EU", "")]
)
def test_an_unknown_pack_lists_those_there_are(name, hint):
    caught = error_of(FOLDER, name)
    assert caught.summary == f"pack {name}: no such pack{hint}"
    assert caught.faults == (f"packs in jurisdictions/: {', '.join(PACKS)}",)


def test_several_unknown_packs_come_at_once():
    with pytest.raises(ParamsError) as caught:
        load_packs(["keyna", "eu", "indai"])
    assert caught.value.summary.startswith("2 packs cannot be used")
    assert "pack keyna: no such pack (did you mean kenya?)" in caught.value.faults
    assert "pack indai: no such pack (did you mean india?)" in caught.value.faults


def test_a_pack_named_twice_is_refused():
    with pytest.raises(ParamsError, match="packs named twice: eu"):
        load_packs(["eu", "us", "eu"])


def test_an_empty_folder_has_no_packs(tmp_path):
    assert error_of(tmp_path).faults == (f"packs in {tmp_path.name}/: none",)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: [1", "not readable as YAML"),
        ("checked_on: 2026-02-30", "not readable as YAML"),
        (b"\xff\xfe\x00", "not readable as YAML"),
        ("- a", "holds list; a pack is a mapping with pack, title, checked_on and rules"),
        ("", "holds NoneType; a pack is a mapping"),
    ],
)
def test_what_is_no_pack(tmp_path, text, what):
    (tmp_path / "zz.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert what in error_of(tmp_path).summary


def test_repeated_keys_are_refused(tmp_path):
    text = write(tmp_path, {}).joinpath("zz.yaml").read_text(encoding="utf-8")
    (tmp_path / "zz.yaml").write_text(f"{text}title: again\n", encoding="utf-8")
    assert "key 'title' appears twice" in error_of(tmp_path).faults[0]


def test_all_faults_of_a_pack_come_at_once(tmp_path):
    wrong = {"effect": "forbidden", "status": "X", "categories": ["utilities"], "source": "http://a.org"}
    caught = error_of(write(tmp_path, {}, {"id": "ZZ-02", **wrong}, {"clauses": "s. 1"}, pack="zy", note="n"))
    assert caught.summary.endswith("8 fault(s) in the pack; nothing was run")
    found = "\n".join(caught.faults)
    assert "pack: received 'zy'; the file's name is zz" in found
    assert "rules: ids used twice: ZZ-01; give each rule its own" in found
    assert "note: unknown key" in found
    assert "rules.ZZ-01.clauses: unknown key (did you mean clause?)" in found
    assert "rules.ZZ-02.effect: received 'forbidden'; input should be 'prohibited', 'consent' or" in found
    assert "rules.ZZ-02.status: received 'X'; input should be 'P', 'Q', 'S' or 'M'" in found
    assert "(did you mean utility?)" in found
    assert "rules.ZZ-02.source: received 'http://a.org'; " in found


@pytest.mark.parametrize("key", sorted(set(RULE) - {"id"}))
def test_every_missing_key_of_a_rule_is_named(tmp_path, key):
    rule = {name: value for name, value in RULE.items() if name != key}
    fault = f"rules.ZZ-01.{key}: missing; the keys are explained in params/jurisdictions/us.yaml"
    assert error_of(write(tmp_path, rules=[rule])).faults == (fault,)


@pytest.mark.parametrize("key", ["pack", "title", "checked_on", "rules"])
def test_every_missing_key_of_a_pack_is_named(tmp_path, key):
    values = yaml.safe_load(write(tmp_path, {}).joinpath("zz.yaml").read_text(encoding="utf-8"))
    del values[key]
    (tmp_path / "zz.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert [fault.split(":")[0] for fault in error_of(tmp_path).faults] == [key]


def test_a_rule_without_an_id_is_named_by_its_number(tmp_path):
    rules = [RULE, {name: value for name, value in RULE.items() if name != "id"}, "a sentence"]
    found = [fault.split(":")[0] for fault in error_of(write(tmp_path, rules=rules)).faults]
    assert found == ["rules.2.id", "rules.3"]


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ({"kind": "model"}, "rules.ZZ-01.kind: received 'model'; input should be 'data'"),
        ({"id": "zz-1"}, "rules.zz-1.id: received 'zz-1'; string should match pattern"),
        ({"id": 7}, "rules.7.id: received 7; input should be a valid string"),
        ({"categories": []}, "rules.ZZ-01.categories: received []; list should have at least 1 item"),
        (
            {"categories": ["utility", "utility"]},
            "rules.ZZ-01.categories: received ['utility', 'utility']; name",
        ),
        ({"text": ""}, "rules.ZZ-01.text: received ''; string should have at least 1 character"),
        ({"applies_from": "2026-03-01"}, "rules.ZZ-01.applies_from: received '2026-03-01'; input should be"),
        ({"source": "https://law example.org"}, "rules.ZZ-01.source: received 'https://law example.org'; "),
        (
            {"effect": "conditional"},
            "rules.ZZ-01.role: received None; a conditional rule, and no other, names",
        ),
        (
            {"role": "model owner"},
            "rules.ZZ-01.role: received 'model owner'; a conditional rule, and no other",
        ),
    ],
)
def test_what_a_rule_may_not_say(tmp_path, rule, fault):
    (found,) = error_of(write(tmp_path, rule)).faults
    assert found.startswith(fault)


def test_a_rule_may_end_on_its_first_day_and_not_before(tmp_path):
    first = RULE["applies_from"]
    assert load_pack("zz", write(tmp_path, {"applies_until": first})).rules[0].in_force(first)
    (fault,) = error_of(write(tmp_path, {"applies_until": first - timedelta(days=1)})).faults
    assert fault.endswith("nothing ends before it applies (2026-03-01)")


def test_rules_of_two_countries_are_refused(tmp_path):
    (fault,) = error_of(write(tmp_path, {}, {"id": "ZY-01"})).faults
    assert fault == "rules: ids begin with ZY, ZZ; a pack has one prefix"


def test_a_pack_without_rules_has_requirements(tmp_path):
    assert error_of(write(tmp_path)).faults == ("rules: received []; a pack holds a rule or a requirement",)
    assert load_pack("zz", write(tmp_path, requirements=[ASKED])).rules == []


# Requirements


def test_faults_of_requirements_are_told_with_their_id(tmp_path):
    one = yaml.safe_load(yaml.safe_dump(ASKED))
    several = [
        one,
        one | {"applies_from": date(2026, 3, 31), "applies_until": None},
        one | {"id": "ZZ-02", "evidence": ["E77"]},
    ]
    found = error_of(write(tmp_path, RULE, requirements=several)).faults
    assert found[0].startswith("ZZ-02: unknown evidence E77")
    assert found[1].startswith("ZZ-01: one version applies until 2026-03-31")
    (missing,) = error_of(
        write(tmp_path, RULE, requirements=[{k: one[k] for k in one if k != "source"}])
    ).faults
    assert missing.startswith("requirements.ZZ-01.source: missing")
    (foreign,) = error_of(write(tmp_path, RULE, requirements=[one | {"id": "AA-01"}])).faults
    assert "ids begin with AA, ZZ" in foreign


@pytest.mark.parametrize(("day", "stale"), [(date(2027, 11, 23), False), (date(2027, 11, 24), True)])
def test_a_pack_is_stale_a_year_after_it_was_checked(day, stale):
    assert load_pack("us").is_stale(day) == stale
