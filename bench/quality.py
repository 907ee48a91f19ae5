"""How often the built-in classifier is right, with the code that the sweep runs.

    python -m bench.quality FOLDER [--split tune|report]

FOLDER holds the photos that bench/labels.csv names. A photo counts as right when one of its labels is among its tags. Only
`known` photos enter: those whose subject is one of the model's classes or a hypernym of at least two that look
alike. Copies of a photo share a split; thresholds and words were tuned on `tune`, and the model was calibrated on it.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime

from jobs.adapters.vocabulary import Vocabulary
from jobs.model import Limits, Tag
from jobs.pixels import look

ROOT: Final = Path(__file__).parent.parent
MODEL: Final = ROOT / "jobs/adapters/models/efficientnet-lite0"
LIMITS: Final = Limits(frozenset({"JPEG", "PNG", "WEBP"}), min_side=50, max_side=16_000, max_bytes=1 << 30)


@dataclass(frozen=True, slots=True)
class Result:
    """What the classifier said of one labelled photo."""

    file: str
    labels: frozenset[str]
    tags: tuple[Tag, ...]
    caption: str

    @property
    def right(self) -> bool:
        """Whether one of the labels is among the tags."""
        return any(tag.name in self.labels for tag in self.tags)


def measure(folder: Path, split: str) -> list[Result]:
    """Classify the known photos of one split, one by one."""
    session = onnxruntime.InferenceSession(str(MODEL / "model.onnx"), providers=["CPUExecutionProvider"])
    vocabulary = Vocabulary.load(MODEL / "vocabulary.json.gz")
    with (ROOT / "bench/labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split and row["known"] == "1"]
    results = []
    for row in rows:
        _, pixels = look((folder / row["file"]).read_bytes(), limits=LIMITS, max_pixels=10**8, side=224)
        (probs,) = session.run(["probs"], {"image": pixels[np.newaxis]})
        tags = vocabulary.tags(probs[0])
        results.append(Result(row["file"], frozenset(row["labels"].split("|")), tags, vocabulary.caption(tags)[0]))
    return results


def show(split: str, results: Sequence[Result]) -> None:
    """Print the share of right answers by folder and in all, and the tags a photo gets."""
    print(f"{split:<10} {'photos':>6} {'right':>6} {'share':>6} {'tags':>6}")
    for folder in [*sorted({result.file.split("/")[0] for result in results}), ""]:
        chosen = [result for result in results if result.file.startswith(folder)]
        right = sum(result.right for result in chosen)
        tags = sum(len(result.tags) for result in chosen) / len(chosen)
        print(f"{folder or 'all':<10} {len(chosen):>6} {right:>6} {right / len(chosen):>6.3f} {tags:>6.1f}")
    print()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", choices=["tune", "report"], action="append", help="default: both")
    parser.add_argument("--wrong", action="store_true", help="list the photos that were not right")
    options = parser.parse_args()
    for split in options.split or ["tune", "report"]:
        results = measure(options.folder, split)
        show(split, results)
        for result in results if options.wrong else ():
            if not result.right:
                print(f"{result.file}: {result.caption}; {', '.join(f'{tag.name} {tag.confidence:.2f}' for tag in result.tags)}")


if __name__ == "__main__":
    main()
