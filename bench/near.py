"""How well near-duplicates are told from other pictures, and what it costs, by the code that sweeps and groupings run.

    python -m bench.near FOLDER [--scale 100000]

Every photo of FOLDER is distorted in ways that copies are; a copy is found when it is grouped with its original alone. `false` are
pairs of different photos that would be grouped: look at them, they may be copies after all. `--scale` groups so many made-up
sketches, a tenth of them copies, and says time and memory.
"""

from __future__ import annotations

import argparse
import io
import resource
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from bench.corpus import photos
from jobs.alike import COARSE, FINE, Pictures, changes, grouped
from jobs.model import Limits
from jobs.pixels import look
from jobs.sketch import SIDE, sketch

LIMITS = Limits(frozenset({"JPEG", "PNG", "WEBP"}), min_side=1, max_side=16_000, max_bytes=1 << 30)


def cropped(image: Image.Image, left: float, others: float = 0.0) -> Image.Image:
    """Cut off shares of width and height."""
    width, height = image.size
    box = (left * width, others * height, (1 - others) * width, (1 - others) * height)
    return image.crop(tuple(round(edge) for edge in box))  # type: ignore[arg-type]  # four of them


def encoded(image: Image.Image, quality: int) -> bytes:
    """Return a JPEG."""
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=quality)
    return file.getvalue()


def scaled(image: Image.Image, share: float) -> Image.Image:
    """Scale both sides."""
    return image.resize((max(round(image.width * share), 1), max(round(image.height * share), 1)), Image.Resampling.LANCZOS)


WAYS: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG, quality 60": lambda image: encoded(image, 60),
    "JPEG, quality 30": lambda image: encoded(image, 30),
    "half the size": lambda image: encoded(scaled(image, 0.5), 85),
    "a quarter of the size": lambda image: encoded(scaled(image, 0.25), 75),
    "1 % off each side": lambda image: encoded(cropped(image, 0.01, 0.01), 85),
    "2 % off each side": lambda image: encoded(cropped(image, 0.02, 0.02), 85),
    "5 % off the left": lambda image: encoded(cropped(image, 0.05), 85),
    "10 % brighter": lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.1), 85),
    "10 % darker": lambda image: encoded(ImageEnhance.Brightness(image).enhance(0.9), 85),
    "20 % more contrast": lambda image: encoded(ImageEnhance.Contrast(image).enhance(1.2), 85),
    "grey": lambda image: encoded(image.convert("L"), 85),
    "half, cropped, brighter, 60": lambda image: encoded(
        ImageEnhance.Brightness(cropped(scaled(image, 0.5), 0.01, 0.01)).enhance(1.1), 60
    ),
}


def drawn(data: bytes) -> str:
    """Return the sketch that a sweep takes."""
    return look(data, limits=LIMITS, max_pixels=10**8, side=224)[0].sketch


def apart(one: str, other: str) -> tuple[int, int]:
    """Return how many bits differ: of the lowest frequencies, and of all."""
    differing = int(one, 16) ^ int(other, 16)
    return (differing >> 192).bit_count(), differing.bit_count()


def near(distance: tuple[int, int]) -> bool:
    """Say whether two pictures of one ratio are grouped."""
    return distance[0] <= COARSE and distance[1] <= FINE


def measure(paths: Sequence[Path]) -> None:
    """Print how many copies are found, and which pairs of photos are taken for copies."""
    originals = [Image.open(path).convert("RGB") for path in paths]
    sketches = [drawn(path.read_bytes()) for path in paths]
    print(f"{'distortion':<30} {'found':>6} {'p50':>4} {'p95':>4} {'most':>4}   of {len(paths)} photos")
    every: list[bool] = []
    for name, way in WAYS.items():
        distances = [apart(drawn(way(image)), sketch_) for image, sketch_ in zip(originals, sketches, strict=True)]
        found = [near(one) for one in distances]
        every += found
        fine = sorted(one[1] for one in distances)
        print(f"{name:<30} {np.mean(found):>6.3f} {fine[len(fine) // 2]:>4} {fine[int(len(fine) * 0.95)]:>4} {fine[-1]:>4}")
    print(f"{'all':<30} {np.mean(every):>6.3f}\n")
    pairs = [(apart(sketches[a], sketches[b]), paths[a].name, paths[b].name) for a, b in combinations(range(len(paths)), 2)]
    false = [pair for pair in pairs if near(pair[0])]
    print(f"{len(false)} of {len(pairs):,} pairs grouped: {', '.join(f'{a} = {b} ({d[1]})' for d, a, b in false)}")
    print(f"nearest of the others: {min(d[1] for d, _, _ in pairs if not near(d))} of 256 bits\n")


def cost(path: Path) -> None:
    """Print what a sketch adds to the decode that is done anyway."""
    small = Image.open(path).convert("RGB").resize((298, 224))
    began, rounds = time.perf_counter(), 2000
    for _ in range(rounds):
        sketch(small.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0))
    print(f"{(time.perf_counter() - began) / rounds * 1000:.3f} ms a sketch of a draft of {small.width} x {small.height}")


def scale(number: int) -> None:
    """Group made-up pictures, all of one ratio."""
    chance, copies = np.random.default_rng(1), number // 10
    sketches = chance.integers(0, 2**64, (number, 4), dtype=np.uint64)
    sketches[-copies:] = sketches[:copies]
    for word in range(4):
        sketches[-copies:, word] ^= np.uint64(1) << chance.integers(0, 64, copies, dtype=np.uint64)
    ids = chance.integers(0, 256, (number, 32), dtype=np.uint8)
    ones = np.ones(number, dtype=np.int64)
    made = Pictures(ids, np.zeros_like(ids), sketches, np.zeros(number, dtype=np.float32), ones, ones)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    found = sum(1 for _ in changes(made, grouped(made)))
    seconds, more = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    held = sum(getattr(made, name).nbytes for name in ("ids", "groups", "sketches", "ratios", "pixels", "sizes"))
    print(
        f"{number:,} pictures grouped in {seconds:.1f} s: {found:,} in groups; {held / 1e6:.0f} MB held, {more / 1e3:.0f} MB more"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=int, action="append", default=[])
    options = parser.parse_args()
    paths = photos(options.folder)
    measure(paths)
    cost(paths[0])
    for number in options.scale:
        scale(number)


if __name__ == "__main__":
    main()
