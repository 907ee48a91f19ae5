"""The stage: the profile on which a sweep is killed, as far as the harness and its checks need to know it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jobs.adapters.folder import FolderSource
from jobs.adapters.sqlite import open_sqlite
from jobs.model import Analysis
from jobs.ports import Index, Source
from jobs.wiring.kinds import Store
from search.tantivy_index import open_tantivy
from tests.kills.program import BAD, MAGIC, answer

Parts = tuple[Source, Store, Index]


class Stage(Protocol):
    """Where the images are, what they are, and how what became of them is looked at.

    `home` is the folder that the program works in.
    """

    @property
    def home(self) -> Path: ...

    @property
    def settings(self) -> Mapping[str, str]:
        """Return the program's settings for this profile."""

    @property
    def during(self) -> Mapping[str, float]:
        """Return for phases how long they take, in seconds: a kill during one strikes anywhere in that time."""

    def put(self, name: str, data: bytes) -> None:
        """Put bytes under a name, in one step, as a version that can be told from every other."""

    def picture(self, unique: bytes) -> bytes:
        """Return an image that is classified."""

    def bad(self, unique: bytes) -> bytes:
        """Return bytes that say they are an image, and are refused."""

    def refused(self, data: bytes) -> bool:
        """Say whether these bytes are to be refused."""

    def true(self, data: bytes, analysis: Analysis) -> bool:
        """Say whether this is the analysis of these bytes."""

    async def ready(self) -> None:
        """Wait until the next run can take over what a dead one holds."""

    async def paid(self) -> Mapping[str, int] | None:
        """Return how often the service was paid for each content, None where no service counts."""

    def opened(self) -> AbstractAsyncContextManager[Parts]:
        """Open source, store and index, to look at them."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Folder, SQLite and Tantivy, with a classifier that answers from the hash; an operating-system lock makes takeovers prompt."""

    home: Path
    during: Mapping[str, float]
    settings: Mapping[str, str]

    @classmethod
    def at(cls, home: Path) -> Embedded:
        """Make the folder that is swept."""
        photos = home / "photos"
        photos.mkdir(parents=True)
        return cls(home, {"publish": 0.03}, {"source": f"folder:{photos}", "classifier": "counted:it", "lookback": "PT0S"})

    def put(self, name: str, data: bytes) -> None:
        path = self.home / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.home / "fresh"
        fresh.write_bytes(data)
        os.replace(fresh, path)  # noqa: PTH105 both are paths already

    def picture(self, unique: bytes) -> bytes:
        return MAGIC + b"picture " + unique

    def bad(self, unique: bytes) -> bytes:
        return BAD + unique

    def refused(self, data: bytes) -> bool:
        return not data or data.startswith(BAD)

    def true(self, data: bytes, analysis: Analysis) -> bool:
        return analysis == answer(data)

    async def ready(self) -> None:
        return

    async def paid(self) -> None:
        return

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Parts]:
        results = self.home / ".imagesweep"
        async with (
            open_sqlite(results / "results.db", read_only=True) as store,
            open_tantivy(results / "index", read_only=True) as index,
        ):
            yield FolderSource(self.home / "photos"), store, index


def digest(data: bytes) -> str:
    """Return the content hash by which payments are counted."""
    return hashlib.sha256(data).hexdigest()
