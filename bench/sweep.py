"""End-to-end images a second of `imagesweep sweep`, beside the roofline of this machine and what a user would write, in one run.

Roofline: cores / (decode seconds + inference seconds an image), both timed with one thread each and as many copies at once as there
are cores. Everything is timed as a whole process, start-up included. Memory is the proportional set size of the process tree.
Writes bench/results/sweep.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import corpus
import psutil
import rivals

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "jobs/adapters/models/efficientnet-lite0/model.onnx"
BATCH = 8
RIVALS = 600
"""Images that the rivals are timed on: they have next to no start-up, and the plain loop is slow."""
RIVAL_ROUNDS = 2
"""Rounds in which the rivals run as well; they are far from the roofline, and need no finer figure."""
PLAIN = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""The environment of a user: Python keeps what it compiled."""


@dataclass(frozen=True, slots=True)
class Run:
    """One sweep as a process: wall seconds, its own report, and the peak memory of its process tree in megabytes."""

    seconds: float
    report: dict[str, object]
    peak_mb: float


def copy_of_the_work(paths: list[Path]) -> tuple[float, float]:
    """Decode and infer some images with one thread; return the seconds of each, an image."""
    import numpy as np  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])
    decode = infer = 0.0
    for begin in range(0, len(paths), BATCH):
        start = time.perf_counter()
        batch = np.stack([rivals.pixels(path, draft=True) for path in paths[begin : begin + BATCH]])
        middle = time.perf_counter()
        session.run(["probs", "embedding"], {"image": batch})
        decode += middle - start
        infer += time.perf_counter() - middle
    return decode / len(paths), infer / len(paths)


def roofline(paths: list[Path]) -> tuple[float, float, float]:
    """Return the roofline in images a second, with the decode and inference seconds that it comes from."""
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores) as pool:
        times = list(pool.map(copy_of_the_work, [paths[n::cores] for n in range(cores)]))
    decode, infer = (statistics.mean(values) for values in zip(*times, strict=True))
    return cores / (decode + infer), decode, infer


def _mean(one: tuple[float, float, float], other: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the roofline of a moment between two: a shared machine changes its pace by the minute."""
    decode, infer = (one[1] + other[1]) / 2, (one[2] + other[2]) / 2
    return (os.cpu_count() or 1) / (decode + infer), decode, infer


def _memory(process: psutil.Process) -> float:
    total = 0
    for one in [process, *process.children(recursive=True)]:
        with suppress(psutil.Error):
            total += one.memory_full_info().pss
    return total / 1e6


def sweep(folder: Path, home: Path, *, watch: bool = False) -> Run:
    """Sweep a folder with the results kept in `home`; `watch` its memory, which takes a tenth of a core."""
    environment = {**PLAIN, "IMAGESWEEP_SOURCE": f"folder:{folder}", "IMAGESWEEP_STORE": f"sqlite:{home}/results.db",
                   "IMAGESWEEP_INDEX": f"tantivy:{home}/index"}  # fmt: skip
    peak = 0.0
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "imagesweep"), "sweep", "--json"], env=environment, stdout=subprocess.PIPE, cwd=home
    )
    done = threading.Event()

    def measure() -> None:
        nonlocal peak
        with suppress(psutil.Error):
            root = psutil.Process(process.pid)
            while not done.wait(0.5):
                peak = max(peak, _memory(root))

    watcher = threading.Thread(target=measure)
    if watch:
        watcher.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - start
    done.set()
    if watch:
        watcher.join()
    return Run(seconds, json.loads(output), peak)


def rival(way: str, folder: Path) -> float:
    """Return the images a second of a user's script."""
    command = [sys.executable, str(ROOT / "bench/rivals.py"), way, str(folder), str(MODEL)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=PLAIN).stdout)


def measure(kind: str, number: int, *, source: Path, target: Path, rounds: int) -> dict[str, object]:
    """Measure one corpus; medians of interleaved rounds, so that a noisy machine hits all alike."""
    folder = corpus.make(kind, number, source=source, target=target / f"{kind}-{number}")
    paths = list(corpus.files(folder, number))
    sample = paths[:: max(1, len(paths) // 400)]
    few = corpus.make(kind, min(number, RIVALS), source=source, target=target / f"{kind}-rivals")
    roofs, runs = [], []
    ways: dict[str, list[float]] = {"loop": [], "pool": [], "draft": []}
    for path in [*paths, *corpus.files(few, min(number, RIVALS))]:
        path.read_bytes()  # everything is timed on files that the system has in memory
    for number_of_round in range(rounds):
        before = roofline(sample)
        with tempfile.TemporaryDirectory() as home:
            runs.append(sweep(folder, Path(home)))
        roofs.append(_mean(before, roofline(sample)))
        if number_of_round < RIVAL_ROUNDS:
            for way, rates in ways.items():
                rates.append(rival(way, few))
    with tempfile.TemporaryDirectory() as home:
        peak = sweep(folder, Path(home), watch=True).peak_mb
    roof = statistics.median(rate for rate, _, _ in roofs)
    rate = statistics.median(number / run.seconds for run in runs)
    return {
        "corpus": f"{number} JPEGs of {corpus.KINDS[kind][0]}x{corpus.KINDS[kind][1]}",
        "roofline": roof,
        "decode_ms": 1000 * statistics.median(decode for _, decode, _ in roofs),
        "inference_ms": 1000 * statistics.median(infer for _, _, infer in roofs),
        "sweep": rate,
        "of_roofline": statistics.median(number / run.seconds / one for run, (one, _, _) in zip(runs, roofs, strict=True)),
        "peak_mb": peak,
        "rivals": {way: statistics.median(rates) for way, rates in ways.items()},
        "runs": [asdict(run) for run in runs],
    }


def scale(source: Path, target: Path) -> dict[str, object]:
    """Measure memory at 2,000 and 20,000 images, and a second sweep that has nothing to do."""
    result: dict[str, object] = {}
    for number in (2_000, 20_000):
        folder = corpus.make("small", number, source=source, target=target / f"small-{number}")
        with tempfile.TemporaryDirectory() as home:
            first = sweep(folder, Path(home), watch=True)
            again = sweep(folder, Path(home))
        result[str(number)] = {"peak_mb": first.peak_mb, "first_seconds": first.seconds, "again_seconds": again.seconds,
                               "again_classified": again.report["classified"]}  # fmt: skip
    return result


def main() -> None:
    """Run the bench and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=ROOT / "samples")
    parser.add_argument("--corpora", type=Path, default=Path(tempfile.gettempdir()) / "imagesweep-bench")
    parser.add_argument("--large", type=int, default=2000)
    parser.add_argument("--small", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--scale", action="store_true", help="also memory and a second sweep at 2,000 and 20,000 images")
    arguments = parser.parse_args()
    results: dict[str, object] = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    print(f"{'corpus':28}{'roofline':>10}{'sweep':>8}{'ratio':>7}{'peak MB':>9}{'loop':>8}{'pool':>8}{'draft':>8}")
    for kind, number in (("large", arguments.large), ("small", arguments.small)):
        if not number:
            continue
        row = measure(kind, number, source=arguments.photos, target=arguments.corpora, rounds=arguments.rounds)
        results[kind] = row
        rates = row["rivals"]
        assert isinstance(rates, dict)
        print(
            f"{row['corpus']:28}{row['roofline']:10.1f}{row['sweep']:8.1f}{row['of_roofline']:7.2f}{row['peak_mb']:9.0f}"
            f"{rates['loop']:8.1f}{rates['pool']:8.1f}{rates['draft']:8.1f}"
        )
    if arguments.scale:
        results["scale"] = scale(arguments.photos, arguments.corpora)
        print(json.dumps(results["scale"], indent=2))
    folder = ROOT / "bench/results"
    folder.mkdir(exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
