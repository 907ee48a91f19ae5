"""Makes the bench's corpora: many different images of one size, from a few real photos. Kept between runs, the same every time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image

KINDS = {"large": (2000, 1500), "small": (320, 240)}
"""Width and height of each corpus."""


def photos(folder: Path) -> list[Path]:
    """Return the photos to make corpora from."""
    odd = folder / "odd"
    found = [path for path in folder.rglob("*") if path.suffix in {".webp", ".jpg", ".png"} and odd not in path.parents]
    return sorted(found)


def make(kind: str, number: int, *, source: Path, target: Path) -> Path:
    """Make `number` JPEGs of a kind below `target`, in folders of a thousand; those that are there already stay."""
    target.mkdir(parents=True, exist_ok=True)
    found = photos(source)
    missing = [n for n in range(number) if not _path(target, n).exists()]
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(partial(_one, KINDS[kind], found, target), missing, chunksize=16):
            pass
    return target


def _path(target: Path, n: int) -> Path:
    return target / f"{n // 1000:03}" / f"{n:06}.jpg"


def _one(size: tuple[int, int], found: list[Path], target: Path, n: int) -> None:
    random.seed(n)
    with Image.open(found[n % len(found)]) as opened:
        image = opened.convert("RGB")
    width, height = image.size
    share = random.uniform(0.8, 1.0)
    left, top = random.uniform(0, 1 - share) * width, random.uniform(0, 1 - share) * height
    image = image.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + share * width, top + share * height))
    noise = Image.effect_noise(size, 24).convert("RGB")
    image = Image.blend(image, noise, 0.04)
    path = _path(target, n)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=88)


def files(corpus: Path, number: int) -> Iterator[Path]:
    """Yield the first `number` files of a corpus."""
    return (_path(corpus, n) for n in range(number))
