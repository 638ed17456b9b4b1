"""Direct identifiers: found by the names and the values of columns, and masked in free text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator

import polars as pl
from stdnum import iban, luhn
from stdnum.br import cpf
from stdnum.cn import ric
from stdnum.es import dni, nie
from stdnum.in_ import aadhaar, pan
from stdnum.mx import curp
from stdnum.us import ssn
from stdnum.za import idnr

IDENTIFIERS = ("name", "phone", "email", "national_id", "account", "address", "device")

# The usual names of columns without blanks, what qualifies them (_OWNERS, digits) and a last "number".
_NAMES = {
    "name": """name names fullname firstname lastname middlename surname familyname givenname forename
        maidenname nickname username screenname initials nombre nombres nombrecompleto apellido
        apellidos nome nomecompleto sobrenome nom prenom nomcomplet nomdefamille vorname nachname
        familienname jina jinakamili nama namalengkap soyad adsoyad pangalan hoten imya familiya
        имя фамилия фио नाम पूरानाम الاسم اسم 姓名 名字""",
    "phone": """phone msisdn tel telephone mobile mobilephone cell cellphone whatsapp contactno
        contactnumber fax telefono numerodetelefono celular movil telefone telefon telefonnummer
        telefonnr handy handynummer portable numerotelephone simu nambariyasimu nohp nomorhp
        nomortelepon notelepon telepon sodienthoai телефон номертелефона फोन मोबाइल هاتف الهاتف
        رقمالهاتف جوال 手机 手机号 手机号码 电话 电话号码""",
    "email": """email emails emailaddress emailid mail mailaddress correo correoelectronico courriel
        eposta epost baruapepe почта ईमेल البريدالالكتروني بريد 邮箱 电子邮件""",
    "national_id": """nationalid nid nin ninumber nationalinsurance nino ssn socialsecurity idno idnum
        idnumber idcard identitycard identitynumber govid governmentid passport driverlicense
        driverslicense drivinglicence drivinglicense taxid taxno taxnumber taxpin krapin tin itin
        pan aadhaar aadhar uidai voterid bvn dni nie nif cedula curp rfc cpf cnpj rg nir
        personnummer personalausweis ausweisnummer steuerid steuernummer codicefiscale
        kitambulisho nik ktp noktp cccd cmnd tckimlik tckn паспорт инн снилс आधार الرقمالقومي
        الهوية رقمالهوية 身份证 身份证号 身份证号码""",
    "account": """account accountid acct accno bankaccount iban bban cardno cardnum cardnumber creditcard
        debitcardnumber ccnumber ccnum cardpan upi upiid vpa walletid walletno walletnumber
        walletaddress meterno meternumber cuenta numerodecuenta clabe conta numerodaconta
        numerocompte kontonummer kontonr rekening norekening nomorrekening номерсчета खाता
        खातासंख्या رقمالحساب 银行卡号 卡号 账号""",
    "address": """address addressline fulladdress homeaddress streetaddress postaladdress residentialaddress
        addr street streetname houseno housenumber apartment gps gpscoordinates coordinates
        geolocation latlon latlng lat latitude lon lng longitude plotno landmark direccion calle
        endereco rua adresse rue anschrift strasse hausnummer indirizzo anwani alamat diachi adres
        адрес улица पता عنوان العنوان 地址 住址""",
    "device": """imei imsi iccid simserial deviceid deviceserial serialno serialnumber androidid
        advertisingid adid idfa gaid mac macaddress ip ipaddr ipaddress ipv cookieid cookie
        sessionid useragent facebookid facebook twitter instagram linkedin telegram handle
        socialhandle profileurl""",
}


def _folded(text: str) -> str:
    """Leave out accents and vowel signs, so that a name is found with and without them."""
    parts = unicodedata.normalize("NFKD", text)
    return "".join(part for part in parts if not unicodedata.category(part).startswith("M"))


_KIND = {
    _folded(name + number).casefold(): kind
    for kind, names in _NAMES.items()
    for name in names.split()
    for number in ("", "no", "num", "number")
}
# A hash without a key is made again by anyone who has the identifier, so it remains one.
_OWNERS = """customer client applicant borrower user member subscriber person personal contact guarantor
    employer employee spouse mother father mothers fathers parent next of kin reference referee
    emergency home work office business sender receiver recipient beneficiary payee payer holder
    owner counterparty party primary secondary alternate alternative alt main other current
    permanent previous old new my his her registered kyc legal official raw original plain clear
    text hash hashed md sha encoded encrypted value field a b del de la do da du
    des der"""
# Head nouns: at the end of any name they mean the thing itself, unless the name counts or asks for it.
_HEADS = """surname msisdn phone telephone email aadhaar aadhar ssn passport iban imei imsi address
    lastname firstname fullname"""
_ASKS = "n no num number count has have is with without missing same days months years at per share"

_EMAIL = r"[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+"
_ABROAD = r"(?:\+|\b00)[ (]*[1-9](?:[ ().-]{0,2}\d){7,14}\b"
_LOCAL = r"\b0(?:[ ().-]{0,2}\d){8,11}\b|\(0?\d{2,3}\)[ -]?\d{3}[ -]?\d{3,4}\b"
_GROUPS = r"\b[1-9]\d{2}[ .-]\d{3}[ .-]\d{4}\b|\b[2-9]\d{9}\b|\b[1-9]\d{10,11}\b|\b[2-9]\d{12}\b"  # no epochs
_PHONE = f"{_ABROAD}|{_LOCAL}|{_GROUPS}"
_IBAN = r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}\b"
_CARD = r"\b(?:3[47]|4|5[1-5]|2[2-7]|6[025])[0-9]?(?:[ -]?[0-9]){11,17}\b"
_BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_IP = rf"(?:{_BYTE}\.){{3}}{_BYTE}|(?:[0-9A-Fa-f]{{1,4}}:){{7}}[0-9A-Fa-f]{{1,4}}"
_MAC = r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}"
_NINO = r"(?i)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]"
_STREET = (
    r"(?i)\d+[\w/-]*,? +(?:[\w.'-]+ +){1,4}"
    r"(?:street|st|road|rd|avenue|ave|lane|ln|drive|boulevard|blvd|close|court|square)\b.*"
    r"|p\.? ?o\.? ?box +\d+.*|[\w. -]+(?:stra(?:ss|ß)e|str\.|weg|gasse) *\d+.*"
    r"|(?:rue|calle|rua|jalan|jl\.?) +[\w.' -]+,? *\d+.*"
)
# a calendar day, with its hour or without, and a decimal number
_OTHER_NUMBER = re.compile(
    r"(?:(?:19|20)\d{2}[ .-]?(?:0[1-9]|1[0-2])[ .-]?(?:0[1-9]|[12]\d|3[01])(?: ?[0-2]\d(?:[0-5]\d)?)?"
    r"|\d+\.\d+)$"
)
# Identifier, pattern of a whole value, and the check digits or the calendar that the value has to pass.
_VALUES: tuple[tuple[str, str, Callable[[str], bool] | None], ...] = (
    ("email", _EMAIL, None),
    ("device", f"{_IP}|{_MAC}", None),
    ("device", r"\d{15}", lambda text: luhn.is_valid(text) and text[:2] not in ("34", "37")),  # IMEI
    ("account", _IBAN, iban.is_valid),
    ("account", _CARD, lambda text: luhn.is_valid(text.replace(" ", "").replace("-", ""))),
    ("national_id", r"[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}", aadhaar.is_valid),
    ("national_id", r"(?i)[A-Z]{5}\d{4}[A-Z]", pan.is_valid),
    ("national_id", r"\d{3}-\d{2}-\d{4}", ssn.is_valid),
    ("national_id", _NINO, None),
    ("national_id", r"\d{3}\.\d{3}\.\d{3}-\d{2}", cpf.is_valid),
    ("national_id", r"\d{17}[\dXx]", ric.is_valid),
    ("national_id", r"\d{13}", idnr.is_valid),
    ("national_id", r"(?i)\d{8}-?[A-Z]", dni.is_valid),
    ("national_id", r"(?i)[XYZ]\d{7}-?[A-Z]", nie.is_valid),
    ("national_id", r"(?i)[A-Z]{4}\d{6}[HM][A-Z]{5}\w\d", curp.is_valid),
    ("address", _STREET, None),
    ("phone", _PHONE, lambda text: not _OTHER_NUMBER.match(text)),
)
_IN_NUMBERS = ("account", "national_id")  # any number looks like a phone
_NUMBERED = ("account", "national_id", "device")  # so does what such a name explains
_IN_TEXT = (("email", _EMAIL), ("phone", _PHONE), ("account", f"{_IBAN}|{_CARD}"))
_SCHEMA = {"column": pl.String, "identifier": pl.String, "found_by": pl.String, "share": pl.Float64}


def find_identifiers(
    sample: pl.DataFrame,
    known: Collection[str] = (),
    *,
    nameless: Collection[str] = (),
    least_share: float = 0.2,
) -> pl.DataFrame:
    """Return the columns that hold direct identifiers, or free text with some: never a value.

    found_by: "column name"; "values" (at least `least_share` of the column's distinct values are one, check
    digits included); "in text" (other values that contain one; to be masked). share: of the distinct values
    in the sample; missing where the name alone tells. Every kind of a column has a row. Columns in `known`
    are left out, and names in `nameless` tell nothing. A name and a national id without check digits (Kenya:
    7 or 8 digits) are found by the column's name only.
    """
    found: list[tuple[str, str, str, float | None]] = []
    for name, column in sample.to_dict().items():
        if name in known or column.dtype == pl.Boolean or column.dtype.is_temporal():
            continue
        told = "" if name in nameless else identifier_by_name(name)
        kinds = _kinds(_texts(column), told, column.dtype.is_integer(), least_share)
        found += [(name, *kind) for kind in kinds]
    return pl.DataFrame(found, schema=_SCHEMA, orient="row")


def identifier_by_name(column: str) -> str:
    """Return the identifier that a column's name announces (one of IDENTIFIERS), or an empty text.

    `customerPhone_2` is a phone and so is `phone_hash`; `phone_topup_count` and `has_email` are not.
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|\d+|[\W_]+", " ", _folded(column)).casefold().split()
    bare = [word for word in words if word not in _OWNERS.split()]
    for name in ("".join(words), "".join(bare)):
        if name in _KIND:
            return _KIND[name]
    ends = bool(bare) and bare[-1] in _HEADS.split() and not set(_ASKS.split()) & set(words)
    return _KIND[bare[-1]] if ends else ""


def mask_text(column: pl.Expr) -> pl.Expr:
    """Replace identifiers in free text by maskurl, maskemail, maskhandle, maskaccount, maskphone, masknumber.

    Masked are links, mailboxes, @handles, IBANs and Indian PANs, and every run of five or more digits of any
    script with up to three marks or blanks between two. Invisible characters are left out. Names of persons,
    spelled-out numbers and shorter ones stay.
    """
    for pattern, word in _MASKS:
        column = column.str.replace_all(pattern, word)
    return column


def normalise_text(column: pl.Expr) -> pl.Expr:
    """Return masked text as lower-case words with single spaces: letters of any script and their marks."""
    return mask_text(column).str.to_lowercase().str.replace_all(_NO_LETTERS, " ").str.strip_chars()


# word boundaries are those of ASCII: with Unicode's the search is ten times slower on other scripts
_BETWEEN = r"[\s\p{P}\p{S}\p{M}]{0,3}"
_DIGITS = rf"\p{{N}}(?:{_BETWEEN}\p{{N}})"
_LINK = r"\S*://\S+|[Ww]{3}\.\S+|[\w-]+(?:\.[\w-]+)*\.\p{L}{2,9}/\S+"
_MAILBOX = (
    r"[^\s@＠﹫<>()\[\],;:]+[@＠﹫][\w-]+(?:\.[\w-]+)*"
    r"|[\w.+%'-]+(?:\s[@＠﹫]\s|\s?[(\[{]\s?[Aa][Tt]\s?[)\]}]\s?)[\w-]+(?:\.[\w-]+)+"
)
_GROUPED_IBAN = r"[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?(?-u:\b)"
_JOINED_IBAN = r"(?-u:\b)[A-Za-z]{2}[0-9]{2}[A-Za-z]{0,4}[0-9]{7,}[A-Za-z0-9]*"
_PAN = r"(?-u:\b)[A-Za-z]{5}[0-9]{4}[A-Za-z](?-u:\b)"
_MASKS = (
    (r"\p{Cf}+", ""),
    (_LINK, " maskurl "),
    (_MAILBOX, " maskemail "),
    (r"[@＠﹫][\w.-]+", " maskhandle "),
    (f"{_GROUPED_IBAN}|{_JOINED_IBAN}|{_PAN}", " maskaccount "),
    (rf"(?:[+(]|(?-u:\b)0){_BETWEEN}{_DIGITS}{{6,}}", " maskphone "),
    (rf"{_DIGITS}{{4,}}", " masknumber "),
)
_NO_LETTERS = r"(?:^\p{M}+|[^\p{L}\p{M}]+\p{M}*)+"


def _texts(column: pl.Series) -> pl.Series:
    """Return the distinct values of a column of text or whole numbers as stripped texts."""
    if not (column.dtype.is_integer() or column.dtype in (pl.String, pl.Categorical, pl.Enum)):
        return pl.Series(column.name, [], dtype=pl.String)
    texts = column.cast(pl.String).str.strip_chars().drop_nulls()
    return texts.filter(texts != "").unique()


def _kinds(
    texts: pl.Series, told: str, whole_numbers: bool, least_share: float
) -> Iterator[tuple[str, str, float | None]]:
    """Give identifier, found_by and share; a value that may be of two kinds counts for the more frequent."""
    hits = _hits(texts, whole_numbers)
    explained: set[str] = set()
    named, few = {told}, dict[str, float]()
    if told:
        explained = hits.pop(told, set())
        if told in _NUMBERED:
            hits.pop("phone", None)
        yield told, "column name", len(explained) / texts.len() if explained else None
    while hits:
        hits = {kind: values - explained for kind, values in hits.items()}
        kind = max(hits, key=lambda kind: len(hits[kind]))
        values = hits.pop(kind)
        share = len(values) / texts.len()
        if share < least_share:
            few[kind] = share
            continue
        explained = explained | values
        named.add(kind)
        yield kind, "values", share
    if whole_numbers or not texts.len():
        return
    words = texts.filter(texts.str.contains(r"\p{L}") & ~texts.is_in(list(explained)))
    for kind, pattern in _IN_TEXT:
        share = max(int(words.str.contains(pattern).sum()) / texts.len(), few.get(kind, 0.0))
        if share and kind not in named:
            yield kind, "in text", share


def _hits(texts: pl.Series, whole_numbers: bool) -> dict[str, set[str]]:
    """Return the texts that are an identifier, by identifier."""
    hits: dict[str, set[str]] = {}
    for kind, pattern, is_valid in _VALUES:
        if whole_numbers and kind not in _IN_NUMBERS:
            continue
        like = texts.filter(texts.str.contains(f"^(?:{pattern})$"))
        hits.setdefault(kind, set()).update(
            text for text in like if not is_valid or (text.isascii() and is_valid(text))
        )
    return {kind: found for kind, found in hits.items() if found}
