"""Whether both back ends find the same: 100 queries over the same photos, in the embedded index and in AI Search's stand-in.

    python -m bench.agree FOLDER

The photos are swept once, with the local model; what the store holds of them is published to both. Forty queries are those of
bench/queries.csv, the others are made of what the photos turned out to have: tags, names, formats, sizes, dates, phrases. Ids,
counts and facets have to be the same, the order too where it is not by relevance. Ends with status 1 where one query differs.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.search_quality import ROOT, swept
from jobs.adapters.sqlite import open_sqlite
from jobs.model import Outcome, Record
from search.language import parse
from search.query import FACETS, Query, Results
from search.tantivy_index import open_tantivy
from tests.search_kit import Settled, standin_index
from tests.standins.search import SearchService

MOST = 1000
LEAST = 100


async def records(path: Path) -> list[Record]:
    """Return what a store holds."""
    async with open_sqlite(path) as store:
        return [one for source in await store.sources() async for some in store.scan(source) for one in some]


def queries(found: Sequence[Record]) -> list[str]:
    """Return the queries, as people type them."""
    with (ROOT / "bench/queries.csv").open(newline="", encoding="utf-8") as file:
        asked = [row["query"] for row in csv.DictReader(file)]
    shown = [one for one in found if one.analysis is not None]
    tags = [name for name, _ in Counter(tag.name for one in shown if one.analysis for tag in one.analysis.tags).most_common(60)]
    quoted = [f'"{tag}"' for tag in tags]
    sizes = sorted(one.size for one in shown)
    for at, (tag, value) in enumerate(zip(tags, quoted, strict=True)):
        other = quoted[(at * 7 + 3) % len(quoted)]
        asked.append(
            (
                tag, f"tag:{value}", f"tag:{value} -tag:{other}", f"tag:{value},{other}", f"{tag} confidence:>0.{at % 9 + 1}",
                f"{value} sort:largest", f"tag:{value} sort:name", f"{tag} size:>{sizes[at % len(sizes)]}b",
                f"-tag:{value} sort:newest",
                f"{tag} format:jpeg", f"{tag} colour:{('red', 'blue', 'grey', 'brown')[at % 4]}", f"in:00{at % 2} tag:{value}",
            )[at % 12]
        )  # fmt: skip
    return [*asked, "", "sort:smallest", "format:webp,png", "width:>=500", "after:2000 sort:oldest", "-has:people"]


def in_common(found: Results, query: Query) -> tuple[int, Sequence[str], object]:
    """Return what has to be the same."""
    ids = [hit.id for hit in found.hits]
    return found.count, sorted(ids) if query.sort == "relevance" and query.text.strip() else ids, dict(found.facets)


async def compare(store: Path, folder: Path) -> tuple[int, list[str], int, int]:
    """Publish to both, ask both; return the numbers of images and of queries that found some, and queries that differ, and all."""
    found = [one for one in await records(store) if one.outcome in (Outcome.CLASSIFIED, Outcome.REUSED)]
    asked = queries(found)
    differ, some = [], 0
    async with open_tantivy(folder / "agree") as embedded, standin_index(SearchService()) as azure:
        for index in (embedded, Settled(azure)):
            if set(await index.publish(found)) != {None}:
                raise SystemExit("a document was refused")
        for text in asked:
            query = replace(parse(text).query, facets=FACETS, facet_limit=10, limit=MOST)
            ours, theirs = await embedded.search(query), await azure.search(query)
            some += ours.count > 0
            if in_common(ours, query) != in_common(theirs, query):
                differ.append(text)
    return len(found), differ, some, len(asked)


def main() -> None:
    """Print how many queries agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the photos")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        swept(arguments.folder, Path(home))
        images, differ, some, asked = asyncio.run(compare(Path(home) / "results.db", Path(home)))
    print(f"{asked} queries over {images} photos: {asked - len(differ)} agree, {some} of them find something")
    for text in differ:
        print(f"differs: {text}")
    sys.exit(bool(differ) or asked < LEAST)


if __name__ == "__main__":
    main()
