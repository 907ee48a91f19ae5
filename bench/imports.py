"""Cold start: the time of importing function_app.py, beside that of importing the four SDKs alone, in one run.

Each import is a fresh process; the two take turns, and medians of ten are compared. The app imports the SDKs where they are first
used, so it should take less than they do; at most 1.3 times as much is asked for. Exit status 1 when it takes more.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TIMES = 10
MOST = 1.3
SDKS = "import azure.storage.blob.aio, azure.ai.vision.imageanalysis.aio, azure.cosmos.aio, azure.search.documents.aio"
APP = "import function_app"
CODE = "import time; begun = time.perf_counter(); {}; print(time.perf_counter() - begun)"


def seconds(statement: str) -> float:
    """Return how long a fresh process takes for an import, from its start on."""
    done = subprocess.run([sys.executable, "-c", CODE.format(statement)], cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> int:
    """Measure, print, and judge; return the exit status."""
    for statement in (SDKS, APP):
        seconds(statement)  # compiled from now on
    pairs = [(seconds(SDKS), seconds(APP)) for _ in range(TIMES)]
    sdks, app = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"the four SDKs  {sdks * 1000:7.0f} ms")
    print(f"function_app   {app * 1000:7.0f} ms   {app / sdks:.2f} of it, at most {MOST} (medians of {TIMES})")
    return 0 if app <= MOST * sdks else 1


if __name__ == "__main__":
    sys.exit(main())
