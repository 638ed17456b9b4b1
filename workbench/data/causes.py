"""What a library's error means, in our words: its own text may quote a row, an address or a password."""

from __future__ import annotations

import re
from urllib.error import HTTPError, URLError

_CLASSES: tuple[tuple[type[BaseException], str], ...] = (
    (FileNotFoundError, "not found"),
    (PermissionError, "no permission"),
    (TimeoutError, "no connection"),
    (ConnectionError, "no connection"),
    (EOFError, "truncated"),
)
# What the library's text begins with, or contains after ".*"; the text itself is never passed on.
_TEXTS = (
    (r".*\[sqlite\] failed to prepare query: (?:near .*syntax error|incomplete)", "query refused: syntax"),
    (r".*\[sqlite\] failed to prepare query: no such (table|column|function)", "query refused: no such {}"),
    ("found more fields", "ragged: a row has more fields than the header"),
    ("could not parse", "bad quoting: a quote is never closed, or text follows it"),
    ("cannot parse|.*(type mismatch|invalid input syntax)", "a value of another type than its column"),
    (
        "error parsing|internalerror|syntax at character|.*expected .* at character",
        "a line that is no JSON, or cut off",
    ),
    ("empty|.*on empty reader", "empty"),
    (
        r".*(end with par1|header and footer|out of spec|truncated|unexpected end|corrupt|decompress"
        r"|inflate|not a zip|incorrect header|thrift)",
        "truncated, damaged or of another format",
    ),
    (".*protocol not known", "an unknown protocol; known are such as https, s3, gs, abfs, sftp and zip"),
    (".*authentication", "user or password refused"),
    (".*(failed to connect|connection to server|name or service|getaddrinfo)", "no connection"),
    (".*(permission denied|not authorized)", "no permission"),
    (".*(no such file|does not exist|not found|unable to open)", "not found"),
    (r"\[(libpq|sqlite)\]", "query refused"),
)
_SQLSTATES = {"08": "no connection", "28": "user or password refused", "42": "syntax, table, column or right"}


def cause(error: BaseException) -> str:
    """Return the class of an error and what it means; nothing of its text, which may quote data."""
    return f"{type(error).__name__}: {_meaning(error)}"


def _meaning(error: BaseException) -> str:
    if isinstance(error, ImportError):
        package = getattr(error.__cause__ or error, "name", "")
        return f"needs the Python package {package or 'of this protocol'}, which is not installed"
    if isinstance(error, HTTPError):
        return f"the server answered with status {error.code:d}"
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        return cause(error.reason)
    state = getattr(error, "sqlstate", None) or ""
    if re.fullmatch("[0-9A-Z]{5}", state):
        return f"query refused: {_SQLSTATES.get(state[:2], 'a value or a limit')} (SQLSTATE {state})"
    for kind, meaning in _CLASSES:
        if isinstance(error, kind):
            return meaning
    text = str(error).split("\n", 1)[0].lower()
    for pattern, meaning in _TEXTS:
        if found := re.match(pattern, text):
            return meaning.format(*found.groups())
    return "query refused" if hasattr(error, "sqlstate") else "not readable"
