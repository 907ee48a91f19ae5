"""How good categories are that were taught by a few pictures each, with the code of `imagesweep teach` and of sweeps.

    python -m bench.teach FOLDER [--pictures 5] [--draws 20] [--against 20] LABEL...

FOLDER holds photos that bench/labels.csv names. In each draw pictures of every LABEL are taught, against the others and so many
that have none of the labels; all photos that were not shown are then judged. Printed are the sums over all draws, and beside them
what leaving one out had said.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import random
from collections import Counter
from pathlib import Path

import numpy as np

from bench.quality import ROOT
from jobs.adapters.onnx_model import open_onnx
from jobs.errors import Rejected
from jobs.model import Image
from jobs.teach import learned


async def embedded(folder: Path, files: list[str]) -> dict[str, bytes]:
    """Return the vectors of the photos that are there."""
    async with open_onnx("efficientnet-lite0", workers=0, max_bytes=1 << 30, max_pixels=10**8) as model:

        async def one(name: str) -> tuple[str, bytes | None]:
            try:
                return name, (await model.classify(Image(name, (folder / name).read_bytes()))).embedding
            except (OSError, Rejected):
                return name, None

        return {name: vector for name, vector in await asyncio.gather(*map(one, files)) if vector is not None}


def drawn(
    vectors: dict[str, bytes], labels: dict[str, set[str]], wanted: list[str], options: argparse.Namespace, chance: random.Random
) -> Counter[tuple[str, str]]:
    """Teach once, and judge what was not shown."""
    names = sorted(vectors)
    shown: dict[str, list[str]] = {}
    for label in wanted:
        free = [name for name in names if label in labels[name] and not any(name in some for some in shown.values())]
        shown[label] = chance.sample(free, options.pictures)
    none = [name for name in names if labels[name].isdisjoint(wanted)]
    shown[""] = chance.sample(none, min(options.against, len(none)))
    lessons = learned(
        {label: np.stack([np.frombuffer(vectors[name], "<f4") for name in some]) for label, some in shown.items() if some}
    )
    used = {name for some in shown.values() for name in some}
    counts: Counter[tuple[str, str]] = Counter()
    for lesson in lessons:
        label = lesson.taught.category
        counts[label, "recalled"] += lesson.recalled
        counts[label, "wrong"] += lesson.wrong
        for name in names:
            if name not in used:
                taken, is_one = lesson.taught.takes(vectors[name]), label in labels[name]
                counts[label, f"{'taken' if taken else 'left'} {'right' if taken == is_one else 'wrong'}"] += 1
    return counts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("labels", nargs="+", metavar="LABEL")
    parser.add_argument("--pictures", type=int, default=5)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--against", type=int, default=20)
    options = parser.parse_args()
    with (ROOT / "bench/labels.csv").open(newline="", encoding="utf-8") as file:
        labels = {row["file"]: set(row["labels"].split("|")) for row in csv.DictReader(file)}
    vectors = asyncio.run(embedded(options.folder, list(labels)))
    chance = random.Random(1)
    counts: Counter[tuple[str, str]] = Counter()
    for _ in range(options.draws):
        counts += drawn(vectors, labels, options.labels, options, chance)
    print(f"{'category':<16} {'recall':>7} {'precision':>10} {'left out':>9}   of {len(vectors)} photos, {options.draws} draws")
    for label in options.labels:
        right, missed, wrong = (counts[label, kind] for kind in ("taken right", "left wrong", "taken wrong"))
        left_out = counts[label, "recalled"] / (options.draws * options.pictures)
        print(f"{label:<16} {right / max(right + missed, 1):>7.3f} {right / max(right + wrong, 1):>10.3f} {left_out:>9.3f}")


if __name__ == "__main__":
    main()
