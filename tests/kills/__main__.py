"""Kill a sweep again and again: `python -m tests.kills KILLS IMAGES [SEED] [azure]`, on the embedded profile or the Azure one.

Prints the violations, a table of the kills by phase, and last `K kills, V violations`; fails on a violation.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from tests.kills.azure import azure
from tests.kills.harness import BOUND, OFTEN, Outcome, run_kills
from tests.kills.program import PHASES, SIDES
from tests.kills.stage import Embedded

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
        *([] if outcome.paid_twice is None else [f"{outcome.paid_twice:8,}  calls paid for twice, by the service's own count"]),
        f"{outcome.seconds:8,.0f}  seconds",
    ]


def main() -> int:
    """Kill, print, and return the exit status."""
    numbers = [int(one) for one in sys.argv[1:] if one.isdigit()]
    kills, images, seed = (*numbers, 0)[:3]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with azure(home) if "azure" in sys.argv else nullcontext(Embedded.at(home)) as stage:
            outcome = run_kills(stage, kills, images, seed, often=3 if "azure" in sys.argv else OFTEN, say=_print)
    for violation in outcome.violations[:MOST_TOLD]:
        print(f"violation: {violation}")
    for line in table(outcome):
        print(line)
    print(f"{outcome.kills} kills, {len(outcome.violations)} violations")
    return bool(outcome.violations or outcome.kills < kills)


if __name__ == "__main__":
    sys.exit(main())
