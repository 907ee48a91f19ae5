"""Names a second and peak memory of an audit of the embedded profile: a folder, SQLite and Tantivy, of 200,000 images.

Records and documents are written straight into store and index, so that nothing but the audit is measured. Each audit runs in a
process of its own; memory is that process's proportional set size, its start included. Writes bench/results/audit.json.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import psutil

from jobs.adapters.folder import FolderSource
from jobs.adapters.sqlite import open_sqlite
from jobs.audit import audit
from jobs.model import Analysis, Blob, Facts, Image, Limits, Outcome, Record, Tag
from jobs.run import Terms
from jobs.work import Ports
from search.tantivy_index import open_tantivy

ROOT = Path(__file__).parent.parent
BATCH = 2000
DIMENSIONS = 1280


class Unasked:
    """A classifier that no audit here may call."""

    asked = "bench"
    limits = Limits(frozenset({"JPEG"}), 1, 16_000, 1_000_000)
    price = 0.0

    async def classify(self, image: Image) -> Analysis:
        """Fail: everything has its result."""
        raise AssertionError(image.name)


@dataclass(frozen=True, slots=True)
class Measure:
    """One audit as a process: its own answer, the wall seconds of the process, and its peak memory in megabytes."""

    answer: dict[str, float]
    seconds: float
    peak_mb: float


def _analysis(number: int, vector: bytes) -> Analysis:
    tags = tuple(Tag(f"tag {(number * step) % 997}", 1 / (step + 1)) for step in range(1, 9))
    return Analysis(tags, f"a picture of tag {number % 997}", 0.9, Facts(320, 240, "JPEG", ("grey",)), "bench", vector)


def _record(blob: Blob, number: int, vector: bytes) -> Record:
    bare = Record(blob.id, blob.source, blob.name, blob.etag, blob.modified, blob.size, asked="bench", outcome=Outcome.CLASSIFIED)
    return replace(
        bare, content_hash=hashlib.sha256(b"%d" % number).hexdigest(), analysis=_analysis(number, vector), analysed=blob.etag, rev=1
    )


def _files(folder: Path, number: int) -> None:
    for part in range(0, number, 1000):
        place = folder / f"{part // 1000:04}"
        place.mkdir(parents=True)
        for one in range(part, min(part + 1000, number)):
            (place / f"{one:07}.jpg").write_bytes(b"%d" % one)


async def make(home: Path, number: int) -> None:
    """Make files, and for each a record and a document that agree with it."""
    _files(home / "photos", number)
    source = FolderSource(home / "photos")
    vectors = np.random.default_rng(1).standard_normal((64, DIMENSIONS)).astype("<f4")
    blobs = [blob async for page in source.pages() for blob in page.blobs]
    records: Iterator[Record] = (_record(blob, n, vectors[n % 64].tobytes()) for n, blob in enumerate(blobs))
    async with open_sqlite(home / "results.db") as store, open_tantivy(home / "index") as index:
        while batch := list(islice(records, BATCH)):
            await store.write(batch)
            await index.publish(batch)


def harm(home: Path, share: float) -> None:
    """Delete a share of the files, and rename as many."""
    paths = sorted((home / "photos").rglob("*.jpg"))
    for path in paths[:: max(1, round(1 / share))]:
        path.unlink()
    for path in paths[1 :: max(2, round(1 / share))]:
        path.rename(path.with_name(f"moved-{path.name}"))


async def child(home: Path, *, repair: bool) -> dict[str, float]:
    """Audit in this process."""
    source = FolderSource(home / "photos")
    async with open_sqlite(home / "results.db") as store, open_tantivy(home / "index") as index:
        ports = Ports(source, Unasked(), store, store, store, index)
        done = await audit(ports=ports, terms=Terms(), repair=repair)
    report = done.report
    mended = sum(done.repaired.values()) - done.repaired["moved"]
    return {"names_per_second": done.rate, "compared": done.compared, "missing": done.missing, "moved": done.moved,
            "orphaned_store": done.orphaned_store, "found": done.found, "repaired": mended,
            "complete": report.status == "complete", "seconds": report.seconds}  # fmt: skip


def measure(home: Path, *, repair: bool = False) -> Measure:
    """Audit in a process of its own."""
    command = [sys.executable, __file__, "--child", str(home), *(["--repair"] if repair else [])]
    peak = 0
    done = threading.Event()
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)

    def watch() -> None:
        nonlocal peak
        with suppress(psutil.Error):
            one = psutil.Process(process.pid)
            while not done.wait(0.1):
                peak = max(peak, one.memory_full_info().pss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    return Measure(json.loads(output), round(seconds, 1), round(peak / 1e6, 1))


def main() -> None:
    """Run the bench and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=200_000)
    parser.add_argument("--child", type=Path)
    parser.add_argument("--repair", action="store_true")
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(asyncio.run(child(arguments.child, repair=arguments.repair))))
        return
    results: dict[str, object] = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
                                  "images": arguments.number, "load": os.getloadavg()[0]}  # fmt: skip
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        asyncio.run(make(home, arguments.number))
        print(f"{'audit':24}{'names/s':>10}{'found':>8}{'mended':>8}{'seconds':>9}{'peak MB':>9}")
        for label, repair in (("in agreement", False), ("2 % moved, 2 % gone", False), ("the same, repaired", True)):
            if label.startswith("2 %"):
                harm(home, 0.02)
            row = measure(home, repair=repair)
            results[label] = {**row.answer, "process_seconds": row.seconds, "peak_mb": row.peak_mb}
            answer = row.answer
            print(f"{label:24}{answer['names_per_second']:10,.0f}{answer['found']:8,.0f}{answer['repaired']:8,.0f}"
                  f"{answer['seconds']:9.1f}{row.peak_mb:9.0f}")  # fmt: skip
    folder = ROOT / "bench/results"
    folder.mkdir(exist_ok=True)
    (folder / "audit.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
