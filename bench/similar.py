"""Measures likeness in the embedded index: time for the ten most alike of many images, alone and narrowed down, and recall.

Likeness is brute force over float32, so its recall is 1; that is checked against another way to count, not assumed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from search_speed import frequencies, record, vocabulary

from search.query import Query
from search.tantivy_index import TantivyIndex, open_tantivy

DIMENSIONS = 1280
BATCH = 5000
ASKED = 20
NEAREST = 10


def vectors(start: int, number: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return normalised vectors, the same for the same start."""
    made = np.random.default_rng(start).standard_normal((number, DIMENSIONS), dtype="f4")
    made += np.random.default_rng(0).standard_normal((50, DIMENSIONS), dtype="f4")[np.arange(start, start + number) % 50]
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


async def fill(index: TantivyIndex, number: int) -> None:
    """Publish so many images with vectors."""
    tags = vocabulary()
    weights = frequencies(len(tags))
    for start in range(0, number, BATCH):
        some = vectors(start, BATCH)
        records = []
        for at, vector in enumerate(some, start):
            made = record(at, tags, weights)
            assert made.analysis
            records.append(replace(made, analysis=replace(made.analysis, embedding=vector.tobytes())))
        await index.publish(records)


def truth(number: int, wanted: np.ndarray[tuple[int], np.dtype[np.float32]]) -> list[float]:
    """Return the cosines of the nearest, sorted whole and in double precision."""
    scores = np.concatenate([vectors(start, BATCH).astype("f8") @ wanted.astype("f8") for start in range(0, number, BATCH)])
    found: list[float] = np.sort(scores)[::-1][:NEAREST].tolist()
    return found


async def asked(index: TantivyIndex, query: Query, number: int) -> tuple[list[float], float]:
    """Return milliseconds of each query, and the share of the true nearest that the first two found."""
    times, found = [], 0
    for seed in range(ASKED):
        wanted = vectors(seed * 5 * BATCH % number, BATCH)[seed]
        begin = time.perf_counter()
        results = await index.similar(wanted.tobytes(), query)
        times.append((time.perf_counter() - begin) * 1000)
        if seed < 2 and query == Query(limit=NEAREST):
            least = truth(number, wanted)[-1]
            found += sum(hit.score >= least - 1e-5 for hit in results.hits)
    return times, found / (2 * NEAREST)


async def main(number: int) -> None:
    """Fill an index, ask it, and print a table."""
    with tempfile.TemporaryDirectory(prefix="imagesweep-bench-") as folder:
        async with open_tantivy(Path(folder) / "index") as index:
            await fill(index, number)
            every, recall = await asked(index, Query(limit=NEAREST), number)
            some, _ = await asked(index, Query(limit=NEAREST, categories=("kind 3",)), number)
    print(f"{number:,} vectors of {DIMENSIONS:,} numbers on {os.cpu_count()} cores; recall@{NEAREST} {recall:.2f}")
    for name, times in (("all", every), ("a twelfth", some)):
        print(f"{name:<12}median {statistics.median(times):8.1f} ms   most {max(times):8.1f} ms")
    print(f"most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB, mapped file included")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200_000)
    asyncio.run(main(parser.parse_args().images))
