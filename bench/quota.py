"""How much of a quota real sweeps use: a stand-in for AI Vision that serves so many calls in each second, and some sweeps at it.

Each sweep is a process of its own with a folder and an index of its own; several share one store, and by it the quota. Share of the
quota: calls served between the first and the last second with calls, these two left out, over what the quota allows in that time.
Writes bench/results/quota.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("IMAGESWEEP_")}


def control(address: str, method: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Set or ask something of the stand-in."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(  # noqa: S310 ours, on this machine
        f"{address}/_control", data, {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        told: dict[str, Any] = json.load(answer)
    return told


def sweep(address: str, folders: list[Path], home: Path, settings: Mapping[str, str]) -> tuple[float, list[dict[str, Any]]]:
    """Sweep each folder by a process of its own, all at once; return the seconds and the reports."""
    from tests.standins.vision import KEY  # noqa: PLC0415

    begun = time.monotonic()
    running = []
    for number, folder in enumerate(folders):
        about = {
            "IMAGESWEEP_SOURCE": f"folder:{folder}",
            "IMAGESWEEP_STORE": f"sqlite:{home}/results.db",
            "IMAGESWEEP_INDEX": f"tantivy:{home}/index{number}",
            "IMAGESWEEP_CLASSIFIER": f"azure-vision:{address}",
            "IMAGESWEEP_EMBEDDER": "none",
            "IMAGESWEEP_VISION_KEY": KEY,
            "IMAGESWEEP_VISION_COLOURS": "false",
            **settings,
        }
        command = [str(Path(sys.executable).parent / "imagesweep"), "sweep", "--json", "--yes"]
        running.append(subprocess.Popen(command, env=PLAIN | about, cwd=home, stdout=subprocess.PIPE))
    reports = [json.loads(process.communicate()[0]) for process in running]
    return time.monotonic() - begun, reports


def measure(number: int, processes: int, quota: int, settings: Mapping[str, str], corpora: Path) -> dict[str, Any]:
    """Sweep so many images by so many processes."""
    import corpus  # noqa: PLC0415

    from tests.standins.serve import spawned  # noqa: PLC0415

    each = number // processes
    made = corpus.make("small", number, source=ROOT / "samples", target=corpora / f"small-{number}")
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory() as home, spawned("tests.standins.vision", "fast") as address:
        folders = []
        for process in range(processes):
            folder = Path(home, f"photos{process}")
            folder.mkdir()
            for path in list(corpus.files(made, number))[process * each : (process + 1) * each]:
                (folder / path.name).symlink_to(path)
            folders.append(folder)
        control(address, "POST", {"per_second": quota, "latency": 0.12})
        seconds, reports = sweep(address, folders, Path(home), settings)
        counts = control(address, "GET")
    served = {int(second): calls for second, calls in counts["by_second"].items()}
    inner = range(min(served) + 1, max(served))
    return {
        "processes": processes,
        "settings": dict(settings),
        "classified": sum(report["classified"] for report in reports),
        "seconds": seconds,
        "calls": counts["calls"],
        "paid": sum(counts["paid"].values()),
        "share": sum(served.get(second, 0) for second in inner) / (quota * len(inner)),
        "throttled": counts["throttled"] / counts["calls"],
        "whole": sum(served.values()) / (quota * seconds),
    }


def main() -> None:
    """Run the bench and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--quota", type=int, default=50)
    parser.add_argument("--told", action="store_true", help="only sweeps that are told the quota")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--corpora", type=Path, default=Path(tempfile.gettempdir()) / "imagesweep-bench")
    arguments = parser.parse_args()
    told = {"IMAGESWEEP_CALLS_PER_SECOND": str(arguments.quota)}
    ways = [(processes, settings) for processes in arguments.processes for settings in (told, {}) if settings or not arguments.told]
    print(f"{'processes':>9}  {'quota':9}{'images':>8}{'share':>9}{'refused':>9}{'whole process':>15}")
    results = []
    for processes, settings in ways:
        row = measure(arguments.images, processes, arguments.quota, settings, arguments.corpora)
        results.append(row)
        known = "told" if settings else "unknown"
        print(
            f"{processes:9}  {known:9}{row['classified']:8,}{row['share']:9.1%}{row['throttled']:9.2%}{row['whole']:15.1%}",
            flush=True,
        )
    folder = ROOT / "bench/results"
    folder.mkdir(exist_ok=True)
    (folder / "quota.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
