"""Kill a sweep on the embedded profile, again and again: `python -m tests.kills KILLS IMAGES [SEED]`.

Prints the violations, a table of the kills by phase, and last `K kills, V violations`; fails on a violation.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.kills.harness import BOUND, Outcome, run_kills
from tests.kills.program import PHASES, SIDES

MOST_TOLD = 40


def _print(text: str) -> None:
    print(text, flush=True)


def table(outcome: Outcome) -> list[str]:
    """Return the lines of the summary."""
    return [
        *(f"{outcome.hits[phase]:8,}  kills in phase {phase}" for phase in PHASES),
        f"{outcome.hits['outside']:8,}  kills at any moment, from outside",
        "          " + ", ".join(f"{outcome.sides[side]} {side}" for side in SIDES),
        f"{outcome.images:8,}  images in the end, in {outcome.versions:,} versions",
        f"{outcome.sweeps:8,}  sweeps that came to their end",
        f"{outcome.calls:8,}  calls counted",
        f"{outcome.repeats:8,}  calls repeated, of {outcome.bound:,} that may be",
        f"{outcome.worst:8,}  calls repeated for one kill, of {BOUND} that may be: {outcome.worst_kill}",
        f"{outcome.seconds:8,.0f}  seconds",
    ]


def main() -> int:
    """Kill, print, and return the exit status."""
    kills, images = int(sys.argv[1]), int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    with tempfile.TemporaryDirectory() as home:
        outcome = run_kills(kills, images, seed, Path(home) / "home", _print)
    for violation in outcome.violations[:MOST_TOLD]:
        print(f"violation: {violation}")
    for line in table(outcome):
        print(line)
    print(f"{outcome.kills} kills, {len(outcome.violations)} violations")
    return bool(outcome.violations or outcome.kills < kills)


if __name__ == "__main__":
    sys.exit(main())
