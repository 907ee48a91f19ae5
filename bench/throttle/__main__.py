"""Play every scenario with every client: `python -m bench.throttle [SEEDS]`. Writes bench/results/throttle.json, .md and .svg."""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from bench.throttle.clients import Aimd, Client, Cubic, FixedRate, RetryOnly, ours
from bench.throttle.plot import plot
from bench.throttle.scenarios import SCENARIOS, SECONDS, Scenario
from bench.throttle.simulate import oracle, recovery, simulate
from bench.throttle.table import OURS, Figures, markdown, rows, verdicts

RESULTS = Path(__file__).parent.parent / "results"
WRONG = 1.5
"""The guess of a quota that was not known, as a share of it."""
DRAWN = ("second, halved", "sliding 10 s, doubled")
EVERY = 10


def clients(scenario: Scenario) -> dict[str, Callable[[random.Random], Client]]:
    """Return the clients by name; fixed rates are the workers' shares."""
    share = scenario.quota / scenario.workers
    return {
        OURS: lambda _: ours(),
        "retry only": RetryOnly,
        "fixed, right": partial(FixedRate, rate=share),
        "fixed, half too high": partial(FixedRate, rate=WRONG * share),
        "AIMD": Aimd,
        "CUBIC (botocore)": Cubic,
    }


def play(scenario: Scenario, seed: int) -> list[Figures]:
    """Run one scenario with one seed for every client."""
    found = []
    for name, client in clients(scenario).items():
        outcome = simulate(scenario, client, seed)
        used = outcome.served.total() / sum(oracle(scenario, outcome))
        worst = max(recovery(scenario, outcome), default=None)
        found.append(Figures(scenario.name, name, scenario.stationary, used, outcome.refused_share, worst))
    return found


def draw(scenario: Scenario) -> str:
    """Plot one run of each client that learns, beside what there was to be had."""
    served = {}
    quota: list[float] = []
    for name in (OURS, "AIMD", "CUBIC (botocore)"):
        outcome = simulate(scenario, clients(scenario)[name], 0)
        quota = oracle(scenario, outcome)
        served[name] = [sum(outcome.served[second] for second in _bin(at)) / EVERY for at in range(0, int(SECONDS), EVERY)]
    there = [sum(quota[second] for second in _bin(at)) / EVERY for at in range(0, int(SECONDS), EVERY)]
    return plot(scenario.name, there, served, every=EVERY)


def _bin(at: int) -> range:
    return range(at, at + EVERY)


def main() -> None:
    """Play, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="?", default=20)
    parser.add_argument("--dry", action="store_true", help="print only")
    arguments = parser.parse_args()
    games = [(scenario, seed) for scenario in SCENARIOS for seed in range(arguments.seeds)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        figures = [one for found in pool.map(play, *zip(*games, strict=True), chunksize=4) for one in found]
    table, said = rows(figures), verdicts(figures)
    text = "\n".join(
        [
            f"# Throttle: {len(SCENARIOS)} scenarios of {SECONDS:.0f} s, {arguments.seeds} seeds each",
            "",
            "Served against the oracle · share of calls refused · worst time to recover after a change; medians over the seeds.",
            "",
            markdown(table),
            "",
            *(f"- {line}" for line in said),
            "",
        ]
    )
    print(text)
    if not arguments.dry:
        content = {"seeds": arguments.seeds, "verdicts": said, "rows": [asdict(row) for row in table]}
        (RESULTS / "throttle.json").write_text(json.dumps(content, indent=1) + "\n")
        (RESULTS / "throttle.md").write_text(text)
        for number, name in enumerate(DRAWN, 1):
            (scenario,) = (one for one in SCENARIOS if one.name == name)
            (RESULTS / f"throttle-{number}.svg").write_text(draw(scenario))


if __name__ == "__main__":
    main()
