"""Measures the embedded index: documents indexed a second, and how long mixed queries and whole pages of the gallery take.

Queries are asked as the gallery asks them: 60 images, five facets. Pages are rendered whole, and count six facets. The gallery
keeps counts over everything for some seconds; here every query over everything is asked anew, and told apart.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from jobs.model import Analysis, Facts, Outcome, Record, Report, Tag, blob_id
from search.gallery import Parts, gallery
from search.language import parse
from search.query import Searcher
from search.tantivy_index import TantivyIndex, open_tantivy

SOURCE = "folder:/bench"
BATCH = 10_000
FACETS = ("categories", "tags", "colours", "format", "folder")
COLOURS = ("red", "blue", "grey", "green", "black", "white", "brown")
BEGIN = datetime(2016, 1, 1, tzinfo=UTC)
SYLLABLES = ("ka", "lo", "mi", "ru", "ta", "ven", "sol", "dar", "pin", "gor")


def vocabulary() -> list[str]:
    """Return 1,000 tags, some of two words, the most frequent first."""
    dice = random.Random(7)
    made = {"".join(dice.choices(SYLLABLES, k=3)) for _ in range(1400)}
    single = sorted(made)[:700]
    return single + [f"{dice.choice(single)} {dice.choice(single)}" for _ in range(300)]


def record(at: int, tags: Sequence[str], weights: Sequence[float]) -> Record:
    """Return one image: ten tags, of which a few are on every tenth image."""
    dice = random.Random(at)
    chosen = list(dict.fromkeys(dice.choices(tags, weights, k=10)))
    name = f"{at % 997:03}/{at:07}-{chosen[0].replace(' ', '-')}.jpg"
    facts = Facts(
        dice.randrange(400, 4000),
        dice.randrange(400, 4000),
        dice.choice(("JPEG", "JPEG", "PNG", "WEBP")),
        tuple(dice.sample(COLOURS, 2)),
        taken=BEGIN + timedelta(minutes=at * 15),
        camera=dice.choice(("Canon", "Nikon", None)),
        latitude=dice.uniform(-60, 70),
        longitude=dice.uniform(-180, 180),
    )
    found = tuple(Tag(tag, round(dice.uniform(0.3, 1), 4)) for tag in chosen)
    analysis = Analysis(found, f"a photo of a {chosen[0]}", 0.5, facts, "bench")
    about = (blob_id(SOURCE, name), SOURCE, name, "e", BEGIN, dice.randrange(10_000, 9_000_000))
    return Record(
        *about, outcome=Outcome.CLASSIFIED, analysis=analysis, analysed="e", rev=1, asked="bench", categories=(f"kind {at % 12}",)
    )


def queries(number: int, tags: Sequence[str]) -> list[str]:
    """Return a log of queries as people ask them: words, tags, filters, sorts, phrases, and everything."""
    dice = random.Random(11)
    shapes = (
        "{w}", "{w} {v}", "tag:{t}", "tag:{t} -{w}", "{w} format:png", "{w} after:2018 before:2020", "tag:{t} colour:red",
        "{w} size:>2mb sort:largest", 'category:"kind 3" {w}', "in:00 {w}", '"{t}"', "{w} confidence:>0.6", "sort:newest tag:{t}",
        "near:48,11,800km {w}", "tag:{t},{u}", "",
    )  # fmt: skip
    made = []
    for at in range(number):
        t, u = (quoted(dice.choices(tags, frequencies(len(tags)))[0]) for _ in range(2))
        w, v = (dice.choice(tags[:300]) for _ in range(2))
        made.append(shapes[at % len(shapes)].format(t=t.strip('"') if '"{t}"' in shapes[at % len(shapes)] else t, u=u, w=w, v=v))
    return made


def quoted(tag: str) -> str:
    """Return a tag as a value."""
    return f'"{tag}"' if " " in tag else tag


def frequencies(number: int) -> list[float]:
    """Return how often each tag occurs, by Zipf's law."""
    return [1 / (rank + 3) for rank in range(number)]


async def fill(index: TantivyIndex, number: int) -> float:
    """Publish so many documents; return documents a second, of publishing alone."""
    tags = vocabulary()
    weights = frequencies(len(tags))
    spent = 0.0
    for start in range(0, number, BATCH):
        records = [record(at, tags, weights) for at in range(start, min(start + BATCH, number))]
        begin = time.perf_counter()
        assert set(await index.publish(records)) == {None}
        spent += time.perf_counter() - begin
    return number / spent


async def asked(searcher: Searcher, log: Sequence[str]) -> dict[str, list[float]]:
    """Return the milliseconds of each query, filtered ones and those over everything."""
    times: dict[str, list[float]] = {"filtered": [], "match-all": []}
    for text in log:
        query = replace(parse(text).query, facets=FACETS, facet_limit=12, limit=60)
        begin = time.perf_counter()
        await searcher.search(query)
        times["filtered" if text else "match-all"].append((time.perf_counter() - begin) * 1000)
    return times


class Nothing:
    """The parts of a gallery that its first page does not need."""

    async def look_up(self, ids: Sequence[str], *, vectors: bool = False) -> Mapping[str, Record]:
        """Return nothing."""
        del ids, vectors
        return {}

    async def picture(self, record: Record, longest: int) -> bytes | str:
        """Return nothing."""
        del record, longest
        return b""

    async def none(self) -> Sequence[Report]:
        """Return nothing."""
        return ()


async def pages(searcher: Searcher, log: Sequence[str]) -> list[float]:
    """Return the milliseconds of each first page, rendered whole."""
    nothing = Nothing()
    app = gallery(Parts(searcher, nothing, nothing, nothing.none, _no_groups))
    return [await page(app, text) for text in log]


async def _no_groups() -> Sequence[Report]:
    return ()


async def page(app: object, text: str) -> float:
    """Return the milliseconds of one request."""
    scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": urlencode({"q": text}).encode()}
    scope |= {"headers": [(b"host", b"x")], "scheme": "http", "server": ("x", 80), "root_path": "", "http_version": "1.1"}
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    begin = time.perf_counter()
    await app(scope, receive, send)  # type: ignore[operator]
    assert sent[0]["status"] == 200
    return (time.perf_counter() - begin) * 1000


def line(name: str, times: Sequence[float]) -> str:
    """Return a line of the table."""
    ordered = sorted(times)
    p95 = ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)]
    return f"{name:<12}{len(times):>6}{statistics.median(times):>10.1f}{p95:>10.1f}{max(times):>10.1f}"


async def main(number: int, asks: int) -> None:
    """Fill an index, ask it, and print a table."""
    with tempfile.TemporaryDirectory(prefix="imagesweep-bench-") as folder:
        async with open_tantivy(Path(folder) / "index") as index:
            rate = await fill(index, number)
            print(f"{number:,} documents on {os.cpu_count()} cores: {rate:,.0f} documents/s indexed")
            log = queries(asks, vocabulary())
            await asked(index, log[:16])
            times = await asked(index, log)
            rendered = await pages(index, log)
    print(f"{'milliseconds':<12}{'number':>6}{'median':>10}{'p95':>10}{'most':>10}")
    for name, some in (*times.items(), ("pages", rendered)):
        print(line(name, some))


def _arguments() -> Iterator[int]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=300_000)
    parser.add_argument("--queries", type=int, default=200)
    arguments = parser.parse_args()
    yield arguments.documents
    yield arguments.queries


if __name__ == "__main__":
    asyncio.run(main(*_arguments()))
