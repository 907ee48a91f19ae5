"""How good searches are: recall@10 and nDCG@10 of everyday queries over the photos that bench/queries.csv is about.

    python -m bench.search_quality FOLDER [--split tune|report]

The photos are swept under numbers for names: their own names say what is on them. Relevance was labelled by eye, one or nothing,
and committed before anything was tuned; whatever is tuned is tuned by `tune`. Recall is over what ten places can hold.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import fnmatch
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from search.language import parse
from search.tantivy_index import open_tantivy

ROOT = Path(__file__).parent.parent
PLACES = 10
KINDS = {".webp", ".jpg", ".jpeg", ".png"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One query, and what it should find."""

    query: str
    relevant: frozenset[str]
    split: str


def labelled(names: Sequence[str]) -> list[Asked]:
    """Return the queries with the photos that are relevant, by name without suffix. Raises ValueError for a label of no photo."""
    asked = []
    with (ROOT / "bench/queries.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found = {pattern: fnmatch.filter(names, pattern) for pattern in row["relevant"].split("|")}
            missing = [pattern for pattern, some in found.items() if not some]
            if missing:
                raise ValueError(f"{row['query']}: no photo is {', '.join(missing)}")
            asked.append(Asked(row["query"], frozenset(name for some in found.values() for name in some), row["split"]))
    return asked


def swept(folder: Path, home: Path) -> Mapping[str, str]:
    """Sweep the photos under numbers; return what each number is the photo of."""
    (home / "photos").mkdir()
    known = {}
    for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.suffix.lower() in KINDS)):
        name = f"{number:04}{path.suffix}"
        (home / "photos" / name).symlink_to(path.resolve())
        known[name] = str(path.relative_to(folder).with_suffix(""))
    settings = {"SOURCE": "folder:photos", "STORE": "sqlite:results.db", "INDEX": "tantivy:index"}
    environment = {**os.environ, **{f"IMAGESWEEP_{name}": value for name, value in settings.items()}}
    command = [str(Path(sys.executable).parent / "imagesweep"), "sweep", "--json"]
    subprocess.run(command, cwd=home, env=environment, check=True, stdout=subprocess.DEVNULL)
    return known


def scores(found: Sequence[str], relevant: frozenset[str]) -> tuple[float, float]:
    """Return recall and nDCG of the first places."""
    hits = [name in relevant for name in found[:PLACES]]
    most = min(len(relevant), PLACES)
    gain = sum(hit / math.log2(place + 2) for place, hit in enumerate(hits))
    return sum(hits) / most, gain / sum(1 / math.log2(place + 2) for place in range(most))


async def ask(home: Path, known: Mapping[str, str], asked: Sequence[Asked]) -> list[tuple[Asked, float, float, list[str]]]:
    """Ask each query as the gallery does."""
    results = []
    async with open_tantivy(home / "index", read_only=True) as index:
        for one in asked:
            answer = await index.search(replace(parse(one.query).query, limit=PLACES))
            found = [known[hit.name] for hit in answer.hits]
            results.append((one, *scores(found, one.relevant), found))
    return results


def main() -> None:
    """Print the scores of each query, and their means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the photos that bench/queries.csv is about")
    parser.add_argument("--split", choices=("tune", "report"), default="report")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        known = swept(arguments.folder, Path(home))
        asked = [one for one in labelled(list(known.values())) if one.split == arguments.split]
        results = asyncio.run(ask(Path(home), known, asked))
    print(f"{'query':22}{'relevant':>9}{'recall@10':>11}{'nDCG@10':>9}  first three")
    for one, recall, gain, found in results:
        print(f"{one.query:22}{len(one.relevant):9}{recall:11.2f}{gain:9.2f}  {', '.join(found[:3]) or 'nothing'}")
    recall, gain = mean(recall for _, recall, _, _ in results), mean(gain for _, _, gain, _ in results)
    print(f"{f'mean of {len(results)}':22}{'':9}{recall:11.3f}{gain:9.3f}")


if __name__ == "__main__":
    main()
