"""What an audit found. The lists are on disk: memory stays the same whatever their length."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from itertools import islice
from types import TracebackType
from typing import Self

from jobs.compare import Kind
from jobs.errors import StorageFailed, Transient

EXAMPLES = 5
"""Names kept of each kind."""

_MEMORY = 1 << 20  # bytes of a list that are held before it goes to disk


@dataclass(frozen=True, slots=True)
class Finding:
    """A name to look at again. `size` in bytes and `content_hash` are the blob's, or the record's where there is no blob.

    `indexed` says that the index holds a document of it, whose id is `id`.
    """

    name: str
    id: str
    size: int = 0
    content_hash: str | None = None
    indexed: bool = False


class Spill:
    """A list that is written to its end, then read as often as wanted. Raises StorageFailed when the disk is full."""

    def __init__(self) -> None:
        self.count = 0
        self._file = tempfile.SpooledTemporaryFile(_MEMORY, mode="w+", encoding="ascii")  # noqa: SIM115 - closed by `close`

    def add(self, finding: Finding) -> None:
        """Append one."""
        with _translated():
            self._file.write(json.dumps(astuple(finding)) + "\n")
        self.count += 1

    def batches(self, size: int) -> Iterator[Sequence[Finding]]:
        """Yield all of them, so many at once."""
        with _translated():
            self._file.seek(0)
        while True:
            with _translated():
                lines = list(islice(self._file, size))
            if not lines:
                return
            yield [Finding(*json.loads(line)) for line in lines]

    def close(self) -> None:
        """Drop the list."""
        self._file.close()


class Findings:
    """The counts and lists of one audit, on its way; a context manager, since the lists are files.

    `doubtful` blobs are missing if their first bytes call them images. `orphans` are those of the orphaned records and
    documents that were looked at again. `held` counts the names that store or index hold something of, `unlisted` the blobs
    that are there, though the listing did not show them.
    """

    def __init__(self) -> None:
        self.found: Counter[Kind] = Counter()
        self.repaired: Counter[Kind] = Counter()
        self.examples: dict[Kind, list[str]] = {kind: [] for kind in Kind}
        self.compared = 0
        self.blobs = 0
        self.records = 0
        self.documents = 0
        self.held = 0
        self.seconds = 0.0
        self.hidden = 0
        self.unlisted = 0
        self.disorder: str | None = None
        self.braked: str | None = None
        self.unsure: Transient | None = None
        self._stack = ExitStack()
        self.lists = {kind: self._spill() for kind in Kind}
        self.orphans = {kind: self._spill() for kind in (Kind.ORPHANED_STORE, Kind.ORPHANED_INDEX)}
        self.doubtful = self._spill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def note(self, kind: Kind, name: str) -> None:
        """Count a finding."""
        self.found[kind] += 1
        if len(self.examples[kind]) < EXAMPLES:
            self.examples[kind].append(name)

    @property
    def deletions(self) -> int:
        """How many images a repair would take out of the store, or the index."""
        return self.found[Kind.ORPHANED_STORE] + self.found[Kind.ORPHANED_INDEX]

    def _spill(self) -> Spill:
        spill = Spill()
        self._stack.callback(spill.close)
        return spill


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "Free space in the folder for temporary files, or point TMPDIR elsewhere."
        raise StorageFailed("keep the findings in", tempfile.gettempdir(), error.strerror or str(error), hint=hint) from error
