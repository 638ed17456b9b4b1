"""Turns drawn rows into tables as a lender's systems export them, and writes them as Parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.world.block import Block
from workbench.world.plan import COMMUNITIES, IDENTIFIERS, MISSING, Array, Table
from workbench.world.words import FIRST_NAMES, LAST_NAMES, REGIONS, STREETS, VOCABULARY

DIRECTIONS = ("out", "in", "OUT", "IN")
SEXES = ("female", "male")
STRANGERS = 900_000_000
_LEADS = (
    "",
    "write to me at",
    "call me on",
    "my id number is",
)  # before no identifier, email, phone, national id


def _numbers(values: Array) -> pl.Expr:
    return pl.lit(pl.Series(values)).cast(pl.String)


def customer_ids(numbers: Array) -> pa.Array:
    """Return customer numbers as text, such as C000000123."""
    return pl.select(pl.lit("C") + _numbers(numbers).str.zfill(9)).to_series().to_arrow()


def identities(first: int, table: Table) -> pl.DataFrame:
    """Return the direct identifiers of applicants: made up, unique, none of them anybody's."""
    number = first + table["owner"]
    phone = (number * 61_803_399 + 24_681_357) % 100_000_000
    rank = (number * 314_159_269 + 123_456_789) % (665 * 99 * 9_999)
    area, rest = 1 + rank // (99 * 9_999), rank % (99 * 9_999)
    given, family = np.array(FIRST_NAMES)[table["first_name"]], np.array(LAST_NAMES)[table["last_name"]]
    street = np.array(STREETS)[table["street"]]
    names = pl.DataFrame({"given": given, "family": family})
    return names.select(
        full_name=pl.concat_str("given", "family", separator=" "),
        phone=pl.lit("+2547") + _numbers(phone).str.zfill(8),
        email=pl.concat_str(
            pl.col("given").str.to_lowercase(), pl.lit("."), pl.col("family").str.to_lowercase(),
            pl.lit("."), _numbers(number), pl.lit("@example.com"),
        ),
        national_id=pl.concat_str(
            _numbers(area).str.zfill(3),
            _numbers(1 + rest // 9_999).str.zfill(2),
            _numbers(1 + rest % 9_999).str.zfill(4),
            separator="-",
        ),
        address=pl.concat_str(
            _numbers(table["house"]), pl.lit(" "), pl.lit(pl.Series(street)), pl.lit(" Street")
        ),
    )  # fmt: skip


def _coded(codes: Array, names: Any) -> pa.Array:
    names = names if isinstance(names, pa.Array) else pa.array(names)
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), names)


def _time(seconds: Array) -> pa.Array:
    micros = np.where(seconds == MISSING, 0, seconds) * 1_000_000
    return pa.array(micros, mask=seconds == MISSING).cast(pa.timestamp("us"))


def _money(cents: Array) -> pa.Array:
    return pa.array(cents / 100, mask=cents == MISSING)


def _count(values: Array) -> pa.Array:
    return pa.array(values, mask=values == MISSING)


def post_texts(posts: Table, people: pl.DataFrame) -> pl.Series:
    """Return the posts' words, and after them the identifier that a post gives away."""
    if not len(posts["owner"]):
        return pl.Series("text", [], dtype=pl.String)
    vocabulary, places = pl.Series(VOCABULARY), pl.DataFrame(posts["words"].astype(np.int64), orient="row")
    words = [vocabulary.gather(column.replace(-1, None)) for column in places]
    kind = pl.lit(pl.Series(posts["identifier"]))
    own = people[posts["owner"]]
    given = pl.coalesce(
        pl.when(kind == place + 1).then(pl.lit(_LEADS[place + 1] + " ") + pl.lit(own[name]))
        for place, name in enumerate(IDENTIFIERS)
    )
    return pl.select(
        text=pl.concat_str(*map(pl.lit, words), given, separator=" ", ignore_nulls=True)
    ).to_series()


def _plain(text: pl.Series) -> pa.Array:
    return text.to_arrow().cast(pa.large_string())


def _applicants(table: Table, people: pl.DataFrame, ids: pa.Array) -> dict[str, pa.Array]:
    return {
        "customer_id": ids,
        "application_time": _time(table["application_time"]),
        **{name: _plain(people[name]) for name in people.columns},
        "sex": _coded(table["sex"], SEXES),
        "birth_date": pa.array(table["birth_date"].astype("datetime64[D]")),
        "community": _coded(table["community"], COMMUNITIES),
        "region": _coded(table["region"], REGIONS),
        "handset_tier": _count(table["handset_tier"]),
        "declared_income": _money(table["declared_income"]),
        "requested_amount": _money(table["requested_amount"]),
        "consent_social": pa.array(table["consent_social"]),
        "approved_before": _count(table["approved_before"]),
        "default": _count(table["default"]),
        "past_due_60": _count(table["past_due_60"]),
        "north_probability": pa.array(table["north_probability"]),
        "south_probability": pa.array(table["south_probability"]),
    }


def _bills(table: Table, ids: pa.Array) -> dict[str, pa.Array]:
    return {
        "customer_id": _coded(table["owner"], ids),
        "due_time": _time(table["due_time"]),
        "paid_time": _time(table["paid_time"]),
        "amount_due": _money(table["amount_due"]),
        "amount_paid": _money(table["amount_paid"]),
        "recorded_time": _time(table["recorded_time"]),
    }


def export(block: Block) -> dict[str, pa.Table]:
    """Return the tables of a block as they are exported, with raw column names."""
    tables, applicants = block.tables, block.tables["applicants"]
    size = len(applicants["owner"])
    people = identities(block.first, applicants)
    numbers = block.first + np.arange(size)
    ids = customer_ids(numbers)
    water, airtime, money, posts = (tables[name] for name in ("water", "airtime", "mobile_money", "posts"))
    stranger = water.get("stranger", np.zeros(len(water["owner"]), dtype=bool))
    rows = {
        "applicants": _applicants(applicants, people, ids),
        "electricity": _bills(tables["electricity"], ids),
        "water": _bills(
            water | {"owner": water["owner"] + size * stranger},
            customer_ids(np.concatenate([numbers, STRANGERS + numbers])),
        ),
        "airtime": {
            "customer_id": _coded(airtime["owner"], ids),
            "msisdn": _coded(airtime["owner"], people["phone"].to_arrow()),
            "topup_time": _time(airtime["topup_time"]),
            "amount": _money(airtime["amount"]),
            "recorded_time": _time(airtime["recorded_time"]),
        },
        "mobile_money": {
            "customer_id": _coded(money["owner"], ids),
            "txn_time": _time(money["txn_time"]),
            "direction": _coded(money["direction"], DIRECTIONS),
            "amount": _money(money["amount"]),
            "balance": _money(money["balance"]),
            "recorded_time": _time(money["recorded_time"]),
        },
        "posts": {
            "customer_id": _coded(posts["owner"], ids),
            "posted_time": _time(posts["posted_time"]),
            "text": _plain(post_texts(posts, people)),
            "recorded_time": _time(posts["recorded_time"]),
        },
        "bureau": {
            "customer_id": _coded(tables["bureau"]["owner"], ids),
            **{
                name: _time(values) if name == "recorded_time" else _count(values)
                for name, values in tables["bureau"].items()
                if name != "owner"
            },
        },
    }
    return {name: pa.table(columns) for name, columns in rows.items()}


def parquet(tables: list[pa.Table]) -> Callable[[Path], None]:
    """Return what writes tables of one schema as the row groups of one Parquet file."""

    def write(path: Path) -> None:
        schema = tables[0].schema
        texts = [field.name for field in schema if pa.types.is_dictionary(field.type)]
        with pq.ParquetWriter(
            path, schema, compression="zstd", compression_level=1, use_dictionary=texts, store_schema=False
        ) as writer:
            for table in tables:
                writer.write_table(table)

    return write
