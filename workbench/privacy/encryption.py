"""Encryption of row-level tables at rest: Parquet modular encryption with a key from the environment.

AES-256-GCM over data, footer and column names; PyArrow reads it as well. Two files of the same rows differ in
their bytes, because every write draws new nonces: encrypted artifacts have other hashes in every run. cuDF
reads no encrypted Parquet; a Dask worker needs the same environment variable.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import ComputeError

from workbench.errors import RunError
from workbench.privacy.pseudonyms import read_key


@dataclass(frozen=True)
class Cipher:
    """What reading and writing row-level Parquet needs; without a variable nothing is encrypted."""

    variable: str = ""
    key: bytes = field(default=b"", repr=False)

    @property
    def writing(self) -> dict[str, Any]:
        """Keyword arguments of Polars' write_parquet and sink_parquet."""
        return {"encryption": pl.ParquetEncryptionProperties(footer_key=self.key)} if self.key else {}

    @property
    def reading(self) -> dict[str, Any]:
        """Keyword arguments of Polars' read_parquet and scan_parquet; plain files are read as well."""
        return {"decryption": pl.ParquetDecryptionProperties(footer_key=self.key)} if self.key else {}

    def check(self, path: Path) -> None:
        """Read the footer of a Parquet file; raises RunError when this key, or none, does not open it."""
        try:
            pl.scan_parquet(path, glob=False, **self.reading).collect_schema()
        except ComputeError as error:
            if "Encryption error" not in str(error):
                raise RunError(f"{path}: not readable as Parquet, truncated or edited") from None
            wrong = "encrypted with another key" if self.key else "encrypted, and the study names no key"
            named = self.variable or "the variable that the study's encryption key is read from"
            right = f"set {named} to the key that the run was made with"
            raise RunError(f"{path}: {wrong}", [right]) from None


def open_cipher(variable: str) -> Cipher:
    """Return the cipher of an environment variable's key, or one that encrypts nothing for an empty name.

    The 32-byte AES key is HKDF-SHA256 (RFC 5869, no salt) of the variable's text, so that one secret can
    serve pseudonyms and encryption. Raises ParamsError as `read_key` does.
    """
    if not variable:
        return Cipher()
    extracted = hmac.digest(bytes(32), read_key(variable), "sha256")
    return Cipher(variable, hmac.digest(extracted, b"workbench parquet encryption\x01", "sha256"))
