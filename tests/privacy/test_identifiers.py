"""Identifiers are found by names and values, what merely resembles one is not, and masked text holds none."""

import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn, verhoeff

from workbench.privacy.identifiers import (
    IDENTIFIERS,
    find_identifiers,
    identifier_by_name,
    mask_text,
    normalise_text,
)

ANNOUNCED = {
    "name": "full_name FIRSTNAME lastName surname mother_maiden_name username_hash",
    "name ": "nombre prénom jina имя 姓名 नाम पूरा_नाम الاسم",
    "phone": "phone msisdn customerPhone_2 mobile_number tel contact_no guarantor_phone phone_hash",
    "phone ": "b_party_msisdn teléfono telefone1 simu no_hp फ़ोन هاتف 手机号",
    "email": "email e-mail Email_Address contact_email loan_officer_email correo_electrónico email_md5",
    "national_id": "nid ssn national_id id_number aadhaar aadhar_no pan passport_no cpf dni nino kra_pin BVN",
    "account": "account account_no iban IBAN bank_account_number card_number cuenta wallet_id kontonummer",
    "address": "address home_address address_line_1 street gps lat longitude dirección Straße anwani",
    "device": "imei imei1 device_id ip ip_address ipv4 mac_address imsi advertising_id",
}
HARMLESS = """phone_topup_count account_age account_balance account_type has_email email_count email_domain
    n_phones phone_brand mobile_money_inflow_mean_90 cell_id product_name merchant_name bank_name
    months_at_address address_changes street_lights late_share latest tip applicant_id customer_id
    user_id event_time text amount balance direction city county postcode device_type plan panel
    shipping_days telecom_spend notional missing_email days_since_new_phone education bills_paid
    name_length is_same_address number_of_phone posts"""


@pytest.mark.parametrize(("identifier", "names"), ANNOUNCED.items())
def test_usual_names_are_known(identifier, names):
    assert {name: identifier_by_name(name) for name in names.split()} == dict.fromkeys(
        names.split(), identifier.strip()
    )


def test_names_that_only_resemble_one_are_left_alone():
    found = {name: identifier_by_name(name) for name in HARMLESS.split()}
    assert {name: kind for name, kind in found.items() if kind} == {}


def checked(stem: str) -> str:
    return stem + luhn.calc_check_digit(stem)


WHOLE = {
    "email": [f"person.{n}@mail{n}.example.co.ke" for n in range(10)],
    "phone": [f"+254 712 345 {n:03}" for n in range(10)],
    "phone ": [f"0712-345-{n:03}" for n in range(10)],
    "phone  ": [f"(555) 123-4{n:03}" for n in range(10)],
    "phone   ": [f"2547{n:08}" for n in range(10)],
    "account": [checked(f"411111111111{n:03}") for n in range(10)],
    "account ": ["GB29NWBK60161331926819", "DE89 3704 0044 0532 0130 00", "FR1420041010050500013M02606"],
    "national_id": [(lambda t: t + verhoeff.calc_check_digit(t))(f"29876543{n:03}") for n in range(10)],
    "national_id ": [f"536-9{n}-4{n:03}" for n in range(10)],
    "national_id  ": [f"AB 12 34 {n:02} C" for n in range(10)],
    "national_id   ": ["ABCPD1234F", "ACUPA7085R", "AAPPL1234C"],
    "address": [f"{n} Moi Avenue, Nairobi" for n in range(10)] + ["P.O. Box 4321-00100"],
    "device": [checked(f"35209900176{n:03}") for n in range(10)],
    "device ": [f"192.168.{n}.20" for n in range(10)],
}
OTHERS = {
    "reference": [f"{n:06}" for n in range(50)],
    "amount": [f"{n * 997}.{n:02}" for n in range(50)],
    "share": [f"0.12345678{n:02}" for n in range(50)],
    "moment": [f"2024-01-{n:02}T10:00:00+03:00" for n in range(1, 29)],
    "day": [f"202401{n:02}" for n in range(1, 29)],
    "hour": [f"202401{n:02}1530" for n in range(1, 29)],
    "seconds": [f"17066592{n:02}" for n in range(50)],
    "thousandths": [f"17066592{n:02}000" for n in range(50)],
    "colour": ["red", "green", "blue"],
    "digest": [f"{n:032x}"[::-1].replace("0", "e") for n in range(50)],
    "wrong_checks": [checked(f"411111111111{n:03}")[:-1] + "x" for n in range(9)],
    "empty": ["", " ", "  "],
}


@pytest.mark.parametrize(("kind", "values"), WHOLE.items())
def test_values_tell_an_identifier(kind, values):
    sample = pl.DataFrame({"x1": [*values, None, values[0]], "known": [*values, None, values[0]]})
    assert find_identifiers(sample, known=["known"]).rows() == [("x1", kind.strip(), "values", 1.0)]


@pytest.mark.parametrize(("name", "values"), OTHERS.items())
def test_other_values_do_not(name, values):
    assert find_identifiers(pl.DataFrame({name: values})).rows() == []


def test_numbers_with_check_digits_are_found_among_whole_numbers_and_others_are_not():
    sample = pl.DataFrame(
        {
            "a": [int(value) for value in WHOLE["account"]],
            "b": [int(value) for value in WHOLE["national_id"]],
            "cents": [n * 1_000_003 for n in range(10)],
            "milliseconds": [1_706_659_200_000 + n for n in range(10)],
            "pseudonym": [4_611_686_018_427_387_904 + n * 7919 for n in range(10)],
        }
    )
    found = find_identifiers(sample)
    assert found.select("column", "identifier").rows() == [("a", "account"), ("b", "national_id")]


def test_the_line_between_a_column_of_identifiers_and_a_text_with_some():
    words = [f"sold {chr(97 + n % 26)}{chr(97 + n // 26)} bags" for n in range(80)]
    sample = pl.DataFrame({"x": [*words, *(f"a{n}@b.example" for n in range(20))]})
    assert find_identifiers(sample).rows() == [("x", "email", "values", 0.2)]
    assert find_identifiers(sample, least_share=0.21).rows() == [("x", "email", "in text", 0.2)]


def test_text_with_identifiers_inside_is_reported_as_text():
    sample = pl.DataFrame(
        {"posts": ["call me: +254712345678 today", "mail jo@x.example", "good day", "sold 3 bags"]}
    )
    assert find_identifiers(sample).rows() == [
        ("posts", "email", "in text", 0.25),
        ("posts", "phone", "in text", 0.25),
    ]


def test_all_kinds_of_a_column_are_told_and_a_value_of_two_kinds_counts_once():
    phones, mails = [f"+254 712 345 {n:03}" for n in range(10)], [f"a{n}@b.example" for n in range(2)]
    sample = pl.DataFrame({"x": [*phones, *mails, "call +254712345678 or write jo@x.example"]})
    assert find_identifiers(sample).select("identifier", "found_by").rows() == [
        ("phone", "values"),
        ("email", "in text"),
    ]
    sample = pl.DataFrame({"surname": [*phones, "Otieno", "write jo@x.example"]})
    assert find_identifiers(sample).rows() == [
        ("surname", "name", "column name", None),
        ("surname", "phone", "values", 10 / 12),
        ("surname", "email", "in text", 1 / 12),
    ]


@pytest.mark.parametrize("name", ["account_no", "national_id", "imei"])
def test_numbers_that_a_name_explains_are_no_phones(name):
    sample = pl.DataFrame({name: [f"2547{n:08}" for n in range(10)]})
    assert find_identifiers(sample)["found_by"].to_list() == ["column name"]


def test_a_name_that_tells_nothing_leaves_the_values_to_tell():
    sample = pl.DataFrame({"phone": ["1", "2"], "email": ["a@b.example", "c@d.example"]})
    assert find_identifiers(sample, nameless=["phone", "email"]).rows() == [("email", "email", "values", 1.0)]


def test_repeated_stand_ins_do_not_hide_a_column():
    sample = pl.DataFrame({"x": ["not given"] * 990 + [f"a{n}@b.example" for n in range(10)]})
    assert find_identifiers(sample).rows() == [("x", "email", "values", 10 / 11)]


def test_a_name_tells_without_values_and_flags_and_times_do_not():
    sample = pl.DataFrame(
        {
            "surname": [None, None],
            "phone": ["unknown", "+254712345678"],
            "email": [True, False],
            "id_no": [30123456, 2],
        }
    )
    assert find_identifiers(sample).rows() == [
        ("surname", "name", "column name", None),
        ("phone", "phone", "column name", 0.5),
        ("id_no", "national_id", "column name", None),
    ]


def test_nothing_found_has_the_same_columns_and_no_value_is_ever_told():
    assert find_identifiers(pl.DataFrame()).columns == ["column", "identifier", "found_by", "share"]
    sample = pl.DataFrame({f"c{n}": values[:3] for n, values in enumerate(WHOLE.values())})
    told = repr(find_identifiers(sample).rows())
    assert not any(value in told for values in WHOLE.values() for value in values)
    assert set(find_identifiers(sample)["identifier"]) <= set(IDENTIFIERS)


# Masking


def masked(text: str) -> str:
    return pl.select(mask_text(pl.lit(text))).item()


def normalised(text: str) -> str:
    return pl.select(normalise_text(pl.lit(text))).item()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Call +254 712-345-678!", "call maskphone"),
        ("tel:0712345678,ok", "tel maskphone ok"),
        ("०७१२३४५६७८ पर कॉल करें", "masknumber पर कॉल करें"),
        ("اتصل ٠٧١٢٣٤٥٦٧٨", "اتصل masknumber"),
        ("pay １２３４５", "pay masknumber"),
        ("code 1 2 3 4 5 now", "code masknumber now"),
        ("code 1 2 3 4 now", "code now"),
        ("07\u200b12\u200b34\u200b56\u200b78", "maskphone"),
        ("0\ufe0f\u20e37\ufe0f\u20e31\ufe0f\u20e32\ufe0f\u20e33\ufe0f\u20e3 hi", "masknumber hi"),
        ("Jane.Doe+x@Mail.example.org wrote", "maskemail wrote"),
        ("jane (at) mail.example wrote", "maskemail wrote"),
        ("see https://x.example/u/jane?id=1 and www.jane.example", "see maskurl and maskurl"),
        ("fb.example/jane.doe is me", "maskurl is me"),
        ("thanks @jane_doe", "thanks maskhandle"),
        ("iban GB29 NWBK 6016 1331 9268 19.", "iban maskaccount"),
        ("gb29nwbk60161331926819", "maskaccount"),
        ("pan abcpd1234f", "pan maskaccount"),
        ("card 4111-1111-1111-1111", "card masknumber"),
        ("Meet @ town, 3 bags at 500 each", "meet town bags at each"),
        ("ÀÉ ĞÜ Straße ΟΔΟΣ", "àé ğü straße οδος"),
        ("नमस्ते दुनिया! 🙂️ ok", "नमस्ते दुनिया ok"),
        ("", ""),
        ("  ...  ", ""),
    ],
)
def test_text_is_masked_and_normalised(text, expected):
    assert normalised(text) == expected


def test_masking_keeps_the_rest_of_the_text():
    assert masked("Sold 3 bags, call 0712345678.") == "Sold 3 bags, call  maskphone ."


def test_missing_text_stays_missing():
    frame = pl.DataFrame({"text": ["a", None]}).select(
        mask_text(pl.col("text")), n=normalise_text(pl.col("text"))
    )
    assert frame.rows() == [("a", "a"), (None, None)]


DIGITS = ["0123456789", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "０１２３４５６７８９"]
ALPHABET = st.sampled_from("abzXÉßΣİनमिाسू 中\u200d\ufe0f\u0301\u20e3.,;:-_()+/@#🙂ⅣⓐĲ0179٣०")
NAMES = st.text(st.sampled_from("abcdefXYZ019._%+-'!#$é"), min_size=1, max_size=10)
EMAILS = st.tuples(NAMES, st.sampled_from(["mail.example", "x.co", "sub.mail.example.org", "host"])).map(
    "@".join
)
NUMBERS = st.builds(
    lambda digits, script, between: between.join(script[int(d)] for d in digits),
    st.text(st.sampled_from("0123456789"), min_size=5, max_size=20),
    st.sampled_from(DIGITS),
    st.sampled_from(["", " ", "-", ".", " - ", "\u00a0", "/", "\u2013"]),
)
HANDLES = st.text(st.sampled_from("abcXYZ019_"), min_size=2, max_size=12).map("@".__add__)
LINKS = st.tuples(st.sampled_from(["https://", "HTTP://", "www.", "t.me/", "x.example/"]), NAMES).map("".join)
IBANS = st.sampled_from(["GB29NWBK60161331926819", "GB29 NWBK 6016 1331 9268 19", "de89370400440532013000"])


@given(
    st.text(ALPHABET, max_size=20), EMAILS | NUMBERS | HANDLES | LINKS | IBANS, st.text(ALPHABET, max_size=20)
)
def test_a_planted_identifier_never_survives(before, planted, after):
    text = f"{before} {planted} {after}"
    for found in (masked(text), normalised(text)):
        assert planted not in found
        assert planted.lower() not in found
    assert not any(character.isnumeric() for character in normalised(text))


@given(st.text(max_size=40) | st.text(ALPHABET, max_size=40))
def test_normalising_twice_changes_nothing(text):
    once = normalised(text)
    assert normalised(once) == once
    assert once == " ".join(once.split(" ")) == once.strip()
    assert "  " not in once


def test_two_hundred_thousand_posts_take_no_time():
    posts = [
        "Sold 3 bags today, call 0712345678 🙂",
        "नमस्ते, आज दुकान खुली है",
        "see https://x.example/a b@c.example",
    ]
    frame = pl.DataFrame({"text": posts * 70_000})
    begun = time.perf_counter()
    frame.select(normalise_text(pl.col("text")))
    assert (
        time.perf_counter() - begun < 5
    )  # 0.7 s on two idle cores; with Unicode's boundaries ten times that
