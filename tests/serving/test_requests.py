"""Requests: what is taken, and that everything else is refused with all its faults and no value."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scoring.making import NAMES, frozen
from tests.serving.running import people
from workbench.serving.requests import BadRequestError, parse_request, request_model, row_of

CONTRACT = frozen().contract
MODEL = request_model({field.name: field for field in CONTRACT.fields})
GOOD = people(1)[0]
BAD_IDS = ["", " a", "a\n", "x" * 65, "ä", "１２", "a\u202eb", "a\x00", "<b>", "'; DROP TABLE"]
BAD_IDS += [-1, 1.5, True, None, [], {}]


def body(**changed):
    return json.dumps(GOOD | changed).encode()


def faults(content):
    with pytest.raises(BadRequestError) as raised:
        parse_request(content, MODEL)
    return raised.value.faults


def test_a_good_request_is_taken():
    identity, features = parse_request(body(), MODEL)
    assert (identity, dict(features)) == (GOOD["applicant_id"], GOOD["features"])
    assert row_of(features, CONTRACT).shape == (1, len(NAMES))


@pytest.mark.parametrize("identity", ["a", "A.b_c:d-9", "x" * 64, 0, 7, 2**63])
def test_ids_that_are_taken(identity):
    assert parse_request(body(applicant_id=identity), MODEL)[0] == str(identity)


@pytest.mark.parametrize(
    "identity",
    [
        "",
        " a",
        "a\n",
        "x" * 65,
        "ä",
        "１２",
        "a\u202eb",
        "a\x00",
        "<b>",
        "'; DROP TABLE",
        -1,
        1.5,
        True,
        None,
        [],
        {},
    ],
)
def test_ids_that_are_not(identity):
    assert all(fault.startswith("applicant_id") for fault in faults(body(applicant_id=identity)))


@pytest.mark.parametrize("value", ["1", True, [], {}, "NaN", "１"])
def test_what_is_no_number(value):
    told = faults(body(features=GOOD["features"] | {"late": value}))
    assert told == ["features.late: not a number; a number or null is right"]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_constants_that_are_no_json(text):
    content = body().replace(b'"late": ', f'"late": {text}, "x": '.encode())
    assert faults(content) == ["NaN and Infinity are no JSON; null is right for a value that is missing"]


@pytest.mark.parametrize("text", ["1e999", "-1e999", "1" + "0" * 400])
def test_numbers_beyond_every_number(text):
    content = json.dumps(GOOD).replace(f'"late": {GOOD["features"]["late"]}', f'"late": {text}').encode()
    assert text.encode() in content
    assert faults(content)[0].startswith("features.late: not")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"\xff\xfe{}", "the body is not UTF-8"),
        (b"null", "the body: an object with the contract's names is right"),
        (b"[]", "the body: an object with the contract's names is right"),
        (b"[" * 100_000, "the body is nested too deeply"),
        (b'{"a":' * 100_000, "the body is nested too deeply"),
        (b'{"applicant_id": 1, "applicant_id": 2}', "a name stands twice in one object"),
        (b"1" * 5000, "the body is not JSON"),
    ],
)
def test_what_is_no_request(content, fault):
    assert faults(content) == [fault]


def test_every_fault_is_told_and_no_value():
    features = {name: value for name, value in GOOD["features"].items() if name != "ratio"}
    features |= {"late": "secret", "lat\u0435": 1.0, "topup": 3.0}
    told = faults(body(features=features, applicant_id="a secret", more="secret"))
    assert sorted(told) == [
        "an unknown name in features (did you mean late?)",
        "an unknown name in features (did you mean topups?)",
        "an unknown name in the request",
        "features.late: not a number; a number or null is right",
        "features.ratio: missing; a number, or null where there is none, is right",
    ]
    assert "secret" not in " ".join(told)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(ANYTHING)
def test_nothing_else_ever_gets_through(values):
    with pytest.raises(BadRequestError):
        parse_request(json.dumps(values).encode(), MODEL)


@given(st.binary(max_size=200))
def test_no_bytes_break_it(content):
    with pytest.raises(BadRequestError):
        parse_request(content, MODEL)
