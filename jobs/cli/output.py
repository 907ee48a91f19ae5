"""What the commands print: JSON for programs, tables for people, one line for an error."""

from __future__ import annotations

import dataclasses
import json
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from jobs.errors import LeaseHeld, LeaseLost, Misconfigured, SweepError, Transient

COMPLETE, FAILED, USAGE, RESUMABLE = 0, 1, 2, 75
out = Console(soft_wrap=True, highlight=False, markup=False, width=None if sys.stdout.isatty() else 140)
err = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def printable(text: str) -> str:
    """Return text that cannot move the cursor, reorder the line or break it: such characters are shown as escapes."""
    return "".join(char if char == " " or unicodedata.category(char)[0] not in "CZ" else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def plain(value: object) -> Any:
    """Turn records, times and enums into what JSON knows; embeddings become their number of dimensions."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return {"dimensions": len(value) // 4}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def print_json(value: object) -> None:
    """Print one JSON object on stdout."""
    click.echo(json.dumps(plain(value), ensure_ascii=False))


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """Begin a table in the style of all commands."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def status_of(error: SweepError) -> int:
    """Return the exit status for an error."""
    match error:
        case Misconfigured():
            return USAGE
        case LeaseHeld() | LeaseLost() | Transient():
            return RESUMABLE
        case _:
            return FAILED


@contextmanager
def answering(*, as_json: bool) -> Iterator[None]:
    """Turn a foreseeable error of the body into one clear line (and one JSON object) and its exit status."""
    try:
        yield
    except SweepError as error:
        err.print(f"imagesweep: {printable(str(error))}", style="red" if err.is_terminal else None)
        if as_json:
            print_json({"error": as_error(error)})
        sys.exit(status_of(error))
    except KeyboardInterrupt:
        err.print("imagesweep: interrupted; run it again to go on")
        sys.exit(RESUMABLE)


def as_error(error: SweepError) -> dict[str, str]:
    """Return an error as programs read it."""
    parts = {name: getattr(error, name) for name in ("operation", "key", "cause", "hint")}
    return {"kind": type(error).__name__} | parts


def ago(time: datetime, now: datetime) -> str:
    """Say how long ago a time was."""
    seconds = int((now - time).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit} ago"
    return f"{max(seconds, 0)} s ago"
