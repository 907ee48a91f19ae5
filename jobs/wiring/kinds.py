"""Kinds: what a `KIND:LOCATION` setting names, and the shapes that stores and indexes come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from jobs.errors import Misconfigured
from jobs.ports import Clock, Index, Ledger, State, Tally
from jobs.settings import Settings
from search.query import Likeness, Searcher

T = TypeVar("T")
Opener = Callable[[Settings, str], AbstractAsyncContextManager[T]]


class Store(Ledger, Tally, State, Clock, Protocol):
    """Ledger, tally, state and clock in one place."""


class SearchIndex(Index, Searcher, Likeness, Protocol):
    """An index that is published to and searched, also by likeness."""


def split(setting: str, value: str) -> tuple[str, str]:
    """Split KIND:LOCATION. Raises Misconfigured naming the setting."""
    kind, colon, location = value.partition(":")
    if not colon or not kind or not location:
        hint = "It reads KIND:LOCATION, as in folder:photos."
        raise Misconfigured("read", f"IMAGESWEEP_{setting.upper()}", f"{value!r} names no kind and location", hint=hint)
    return kind, location


def choose(setting: str, value: str, known: Mapping[str, T]) -> tuple[T, str]:
    """Return what is known under the kind that a setting names, and the location. Raises Misconfigured for an unknown kind."""
    kind, location = split(setting, value)
    if kind not in known:
        hint = f"Known kinds: {', '.join(sorted(known))}."
        raise Misconfigured("read", f"IMAGESWEEP_{setting.upper()}", f"there is no kind {kind!r}", hint=hint)
    return known[kind], location
