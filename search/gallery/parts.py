"""What the gallery is given: it opens nothing by itself, and knows no system."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from jobs.corrections import Said
from jobs.model import Image, Record, Report
from search.query import Likeness, Searcher


class Unavailable(Exception):
    """There is no picture to show, and why: the blob is another version by now, is gone, or cannot be decoded."""


class Reader(Protocol):
    """The part of a ledger that reads single records."""

    async def look_up(self, ids: Sequence[str], *, vectors: bool = False) -> Mapping[str, Record]:
        """Return the records that exist, by id."""
        ...


class Pictures(Protocol):
    """Where pictures to look at come from."""

    async def picture(self, record: Record, longest: int) -> bytes | str:
        """Return a WebP with no side longer than `longest`, of the version that was analysed, or an address to find the image at.

        An address is a secret that soon expires. Raises Unavailable.
        """
        ...


class Group(Protocol):
    """One class of dead letters or deferred blobs."""

    @property
    def outcome(self) -> StrEnum: ...  # noqa: D102
    @property
    def failure_class(self) -> str: ...  # noqa: D102
    @property
    def hint(self) -> str: ...  # noqa: D102
    @property
    def count(self) -> int: ...  # noqa: D102
    @property
    def next_try(self) -> datetime | None: ...  # noqa: D102
    @property
    def examples(self) -> Sequence[Record]: ...  # noqa: D102


class Ahead(Protocol):
    """What the next sweep of one source would do; the template reads the counts that `search.gallery.work` names."""

    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def calls(self) -> int: ...  # noqa: D102
    @property
    def cost(self) -> float: ...  # noqa: D102
    @property
    def seconds(self) -> float | None: ...  # noqa: D102
    @property
    def by_prefix(self) -> Mapping[str, object]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that the gallery shows, each of which may fail by itself.

    `runs` returns the newest reports, newest first; `failures` what failed, by class; `plan` what is ahead, by source.
    `redrive` tries a class again and returns what to tell the person who asked; `correct` says something of a label of the image
    with an id. `likeness` finds what is like a vector, and `embed` makes one of a picture, which costs nothing. Nothing can be
    changed without `key`, which whoever changes something has to know. `image_origin` is where addresses of pictures lead, if they
    do. `hosts` are the names that the gallery may be called by; empty allows any.
    """

    searcher: Searcher
    ledger: Reader
    pictures: Pictures
    runs: Callable[[], Awaitable[Sequence[Report]]]
    failures: Callable[[], Awaitable[Sequence[Group]]]
    plan: Callable[[], Awaitable[Sequence[Ahead]]] | None = None
    redrive: Callable[[str], Awaitable[str]] | None = None
    correct: Callable[[str, str, Said | None], Awaitable[None]] | None = None
    likeness: Likeness | None = None
    embed: Callable[[Image], Awaitable[bytes]] | None = None
    key: str = ""
    image_origin: str = ""
    hosts: tuple[str, ...] = ()
