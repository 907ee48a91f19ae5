"""What a user would write instead, with the same model: a plain loop, and thread pools. Prints images a second, whole process.

Usage: rivals.py loop|pool|draft FOLDER MODEL
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BEGUN = time.perf_counter()

import numpy as np  # noqa: E402 the clock starts before the imports: they are part of a user's script
import onnxruntime  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from PIL import Image  # noqa: E402

SIDE = 224


def pixels(path: Path, *, draft: bool = False) -> NDArray[np.uint8]:
    """Decode, cut the centre square out and scale it."""
    with Image.open(path) as image:
        if draft:
            image.draft("RGB", (SIDE, SIDE))
        rgb = image.convert("RGB")
    width, height = rgb.size
    edge = min(width, height)
    left, top = (width - edge) // 2, (height - edge) // 2
    return np.asarray(rgb.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + edge, top + edge)))


def main() -> None:
    """Classify every JPEG below a folder."""
    way, folder, model = sys.argv[1:4]
    paths = sorted(Path(folder).rglob("*.jpg"))
    options = onnxruntime.SessionOptions()
    workers = os.cpu_count() or 1
    if way != "loop":
        options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def classify(path: Path) -> int:
        return int(session.run(["probs"], {"image": pixels(path, draft=way == "draft")[None]})[0][0].argmax())

    if way == "loop":
        labels = [classify(path) for path in paths]
    else:
        with ThreadPoolExecutor(workers) as pool:
            labels = list(pool.map(classify, paths))
    print(len(labels) / (time.perf_counter() - BEGUN))


if __name__ == "__main__":
    main()
