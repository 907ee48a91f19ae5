"""Names of files as text that UTF-8 can always carry.

A POSIX name is any bytes. Those that are not UTF-8 are mapped as in MirBSD's OPTU encoding: a byte that is no part of valid
UTF-8 becomes the private character U+EF00 + byte (U+EF80 to U+EFFF), and where a name holds one of these characters itself,
its octets count as invalid too. So every name of bytes has its own text, ordinary names are unchanged, and the text leads back.
"""

from __future__ import annotations

import codecs
import re

_LITERAL = re.compile(rb"(\xee[\xbe\xbf][\x80-\xbf])")
_MAPPED = re.compile("([\uef80-\uefff]+)")
_BASE = 0xEF00


def _escape(octets: bytes) -> str:
    return "".join(chr(_BASE + octet) for octet in octets)


def _on_invalid(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _escape(error.object[error.start : error.end]), error.end


codecs.register_error("imagesweep.optu", _on_invalid)


def to_name(raw: bytes) -> str:
    """Return the text of a name of bytes: injective, and the identity for UTF-8 without the characters U+EF80 to U+EFFF."""
    if raw.isascii():
        return raw.decode("ascii")
    parts = enumerate(_LITERAL.split(raw))
    return "".join(_escape(part) if i % 2 else part.decode("utf-8", "imagesweep.optu") for i, part in parts)


def to_bytes(name: str) -> bytes:
    """Return the bytes that `to_name` made this text of. Raises ValueError for text that no bytes are mapped to."""
    if name.isascii():
        return name.encode("ascii")
    parts = enumerate(_MAPPED.split(name))
    raw = b"".join(bytes(ord(c) - _BASE for c in part) if i % 2 else part.encode() for i, part in parts)
    if to_name(raw) != name:
        message = "no bytes are mapped to this name"
        raise ValueError(message)
    return raw
