"""Transfer: the ledger as a file, and back: what was paid for survives a move to another store.

The file is JSON Lines, compressed when its name ends in `.gz`: a header, a record a line with its embedding in base64, and the
number of records at the end, so that a file that was cut off is told from a whole one.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import os
import zlib
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from io import BufferedWriter
from itertools import islice
from pathlib import Path
from typing import Any

from jobs import decide
from jobs.codec import decode, encode
from jobs.errors import Misconfigured, StorageFailed
from jobs.model import Outcome, Record
from jobs.ports import Ledger
from jobs.retry import Policy
from jobs.taxonomy import Taxonomy
from jobs.write import write

FORMAT = 1
"""The format of the file that this program writes, and the highest that it reads."""

BATCH = 500
"""Records in memory at once."""

LINE = 32 << 20
"""The most bytes of a line."""

STANDARD = Policy()
_HEADER = "imagesweep-ledger"
_PAID = (Outcome.CLASSIFIED, Outcome.REUSED)


@dataclass(slots=True)
class Imported:
    """What became of the records of a file.

    `imported` were written, `kept` stood in the ledger already, `refused` were changed by another process at that moment:
    import the file again. `answers` of those that were not written are kept under their hashes, so that their bytes are not
    paid for again.
    """

    imported: int = 0
    kept: int = 0
    refused: int = 0
    answers: int = 0


async def export(*, ledger: Ledger, sources: Sequence[str], path: Path) -> int:
    """Write the whole records of these sources, and all answers kept by hash, to a file; return how many.

    Claims stay behind. The file appears when it is whole, in the place of one of the same name. Runs may go on meanwhile;
    what they change behind the reading is not in it. Raises StorageFailed when the file cannot be written.
    """
    count = 0
    with _writing(path) as file:
        file.write(_line({_HEADER: FORMAT}))
        for source in (*sources, decide.KEEPSAKES):
            async for records in _whole(ledger, source):
                file.writelines(_written(record) for record in records)
                count += len(records)
        file.write(_line({"count": count}))
    return count


async def import_(*, ledger: Ledger, path: Path, taxonomy: Taxonomy, policy: Policy = STANDARD) -> Imported:
    """Write the records of a file that the ledger does not have; fill those that it has not settled. Settled ones stand.

    What is written gets the categories of `taxonomy`, whatever those in the file are of.
    The whole file is read once before anything is written. Importing it again, or the rest after a failure, does no harm. The
    index is not touched: rebuild it afterwards. Raises Misconfigured when the file is no export or a newer program's,
    StorageFailed naming the line when it is damaged.
    """
    for _ in _records(path):
        pass
    done = Imported()
    with closing(_records(path)) as records:
        while batch := list(islice(records, BATCH)):
            await _take([_categorised(record, taxonomy) for record in batch], done, ledger=ledger, policy=policy)
    return done


async def _whole(ledger: Ledger, source: str) -> AsyncIterator[Sequence[Record]]:
    async for batch in ledger.scan(source):
        full = await ledger.look_up([record.id for record in batch], vectors=True)
        yield [full[record.id] for record in batch if record.id in full]


async def _take(batch: Sequence[Record], done: Imported, *, ledger: Ledger, policy: Policy) -> None:
    theirs = {record.id: record for record in batch}
    known = await ledger.look_up(list(theirs))
    fresh = [placed for record in theirs.values() if (placed := _placed(record, known.get(record.id))) is not None]
    missing = {record.id for record in fresh}
    spare = [_spare(record, known[record.id]) for record in theirs.values() if record.id not in missing]
    written = await write(ledger, fresh, policy)
    answers = await write(ledger, list({answer.id: answer for answer in spare if answer is not None}.values()), policy)
    done.imported += sum(record is not None for record in written)
    done.refused += sum(record is None for record in written)
    done.kept += len(batch) - len(fresh)
    done.answers += sum(record is not None for record in answers)


def _categorised(record: Record, taxonomy: Taxonomy) -> Record:
    return record if record.source == decide.KEEPSAKES else decide.derived(record, taxonomy)


def _placed(record: Record, here: Record | None) -> Record | None:
    """Return the record as it is to be written, None when the one that is here stands."""
    if here is None:
        return record
    waiting = here.outcome in (None, Outcome.DEFERRED) and here.claim is None
    settled = record.outcome not in (None, Outcome.DEFERRED)
    same = record.etag == here.etag or record.outcome is Outcome.FORGOTTEN
    if not (waiting and settled and same):
        return None
    return replace(record, rev=max(record.rev, here.rev + 1), version=here.version)


def _spare(record: Record, here: Record) -> Record | None:
    """Return the paid answer of a record that is not written, to be kept by its hash unless it is here or is to be forgotten."""
    held = here.outcome in _PAID and (here.content_hash, here.asked) == (record.content_hash, record.asked)
    if held or here.outcome is Outcome.FORGOTTEN or record.source == decide.KEEPSAKES:
        return None
    return decide.keepsake(record)


def _written(record: Record) -> bytes:
    """Return the line of a record: its JSON, with the embedding beside the rest."""
    body = encode(replace(record, claim=None, version=None), record.id)
    embedding = record.analysis.embedding if record.analysis else None
    if embedding is not None:
        body = f'{body[:-1]},"embedding":"{base64.b64encode(embedding).decode()}"}}'
    return f"{body}\n".encode()


def _line(value: Mapping[str, object]) -> bytes:
    return f"{json.dumps(value)}\n".encode()


@contextmanager
def _writing(path: Path) -> Iterator[gzip.GzipFile | BufferedWriter]:
    """Write beside the file and put it in its place when it is whole; what is not whole is removed."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with gzip.open(part, "wb") if path.name.endswith(".gz") else part.open("wb") as file:
            yield file
        part.replace(path)
    except OSError as error:
        hint = "Choose a folder that may be written to and has room."
        raise StorageFailed("export", str(path), error.strerror or str(error), hint=hint) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _records(path: Path) -> Generator[Record, None, None]:
    """Yield the records of a file, and raise at its end when that is not where it should be."""
    with closing(_lines(path)) as file:
        lines = enumerate(file, start=1)
        _check_header(path, next(lines, (1, b""))[1])
        count = 0
        ended = False
        for number, line in lines:
            if ended:
                raise _broken(path, number, "it goes on behind its end")
            raw = _parsed(path, number, line)
            if "count" in raw:
                ended = True
                if raw["count"] != count:
                    raise _broken(path, number, f"it says {raw['count']} records, there are {count}")
            else:
                count += 1
                yield _read(path, number, line, raw)
        if not ended:
            raise _broken(path, count + 2, "the file was cut off")


def _lines(path: Path) -> Generator[bytes, None, None]:
    number = 0
    try:
        with gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb") as file:
            while line := file.readline(LINE):
                number += 1
                if len(line) == LINE:
                    raise _broken(path, number, f"it is longer than {LINE:,} bytes")
                yield line
    except FileNotFoundError as error:
        raise Misconfigured("import", str(path), "there is no such file") from error
    except (OSError, EOFError, zlib.error) as error:
        raise _broken(path, number + 1, f"it cannot be read: {error}") from error


def _check_header(path: Path, line: bytes) -> None:
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError):
        raw = None
    found = raw.get(_HEADER) if isinstance(raw, dict) else None
    if type(found) is not int:
        raise Misconfigured("import", str(path), "it is no export of a ledger", hint="Make one with `imagesweep export`.")
    if found > FORMAT:
        cause = f"written by a newer imagesweep (format {found}, this one reads up to {FORMAT})"
        raise Misconfigured("import", str(path), cause, hint="Update imagesweep here.")


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _broken(path, number, f"it is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise _broken(path, number, "it is no record")
    return raw


def _read(path: Path, number: int, line: bytes, raw: Mapping[str, Any]) -> Record:
    try:
        record = replace(decode(Record, line, f"{path} line {number}"), claim=None, version=None)
        embedding = base64.b64decode(raw["embedding"], validate=True) if "embedding" in raw else None
    except StorageFailed as error:
        raise _broken(path, number, error.cause) from error
    except (binascii.Error, TypeError, ValueError) as error:
        raise _broken(path, number, f"its embedding is not base64: {error}") from error
    if embedding is None or record.analysis is None:
        return record
    return replace(record, analysis=replace(record.analysis, embedding=embedding))


def _broken(path: Path, number: int, cause: str) -> StorageFailed:
    return StorageFailed(
        "import", f"{path}, line {number}", cause, hint="Nothing was written. Export the ledger again, or copy the file again."
    )
