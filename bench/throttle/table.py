"""The figures of all runs, as a table and as verdicts on the targets."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OURS = "ours"


@dataclass(frozen=True, slots=True)
class Figures:
    """One run: what was served against the oracle, the share of calls refused, the worst recovery in seconds if there was one."""

    scenario: str
    client: str
    stationary: bool
    used: float
    refused: float
    recovery: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """The medians over the seeds of one scenario and client, and the worst seed."""

    scenario: str
    client: str
    stationary: bool
    used: float
    least_used: float
    refused: float
    most_refused: float
    recovery: float | None


def rows(figures: Iterable[Figures]) -> list[Row]:
    """Return a row for each scenario and client, in the order of their first figures."""
    groups: dict[tuple[str, str], list[Figures]] = {}
    for one in figures:
        groups.setdefault((one.scenario, one.client), []).append(one)
    return [_row(group) for group in groups.values()]


def _row(group: Sequence[Figures]) -> Row:
    recoveries = [one.recovery for one in group if one.recovery is not None]
    used, refused = [one.used for one in group], [one.refused for one in group]
    return Row(
        group[0].scenario,
        group[0].client,
        group[0].stationary,
        round(statistics.median(used), 4),
        round(min(used), 4),
        round(statistics.median(refused), 5),
        round(max(refused), 5),
        statistics.median(recoveries) if recoveries else None,
    )


def verdicts(figures: Sequence[Figures]) -> list[str]:
    """Say how far the targets are met."""
    mine = [one for one in figures if one.client == OURS]
    table = rows(figures)
    lines = [
        _target("stationary quota, one worker and more", [one for one in mine if one.stationary], 0.97, 0.005),
        _target("all scenarios", mine, 0.95, 0.01),
    ]
    own = {row.scenario: row for row in table if row.client == OURS}
    for name, met, used, refused in (
        ("stationary", [row for row in own.values() if row.stationary], 0.97, 0.005),
        ("changing", [row for row in own.values() if not row.stationary], 0.95, 0.01),
    ):
        missed = [row.scenario for row in met if row.used < used or row.refused >= refused]
        lines.append(
            f"{name} scenarios by themselves: {len(met) - len(missed)} of {len(met)} met; not: {'; '.join(missed) or 'none'}"
        )
    rivals = dict.fromkeys(row.client for row in table if row.client != OURS)
    return [*lines, *(_against(rival, [row for row in table if row.client == rival], own) for rival in rivals)]


def _target(name: str, mine: Sequence[Figures], least: float, most: float) -> str:
    used, refused = statistics.median(one.used for one in mine), statistics.median(one.refused for one in mine)
    met = "met" if used >= least and refused < most else "NOT met"
    return f"{name}: median {used:.2%} of the oracle at {refused:.3%} refused (target {least:.0%}, {most:.1%}): {met}"


def _against(client: str, others: Sequence[Row], own: dict[str, Row]) -> str:
    both = [row for row in others if own[row.scenario].used > row.used and own[row.scenario].refused < row.refused]
    fewer = [row for row in others if own[row.scenario].refused < row.refused]
    more = [row for row in others if own[row.scenario].used > row.used]
    return (
        f"against {client}: better on both counts in {len(both)} of {len(others)} scenarios "
        f"(more used in {len(more)}, fewer refused in {len(fewer)})"
    )


def markdown(table: Sequence[Row]) -> str:
    """Return the table: a row for each scenario, a column for each client; `used / refused / recovery`."""
    clients = list(dict.fromkeys(row.client for row in table))
    cells = {(row.scenario, row.client): row for row in table}
    scenarios = dict.fromkeys(row.scenario for row in table)
    lines = [f"| {scenario} | {' | '.join(_cell(cells[scenario, client]) for client in clients)} |" for scenario in scenarios]
    return "\n".join([f"| scenario | {' | '.join(clients)} |", f"| --- |{' --- |' * len(clients)}", *lines])


def _cell(row: Row) -> str:
    recovery = "" if row.recovery is None else f" · {row.recovery:.0f} s"
    return f"{row.used:.1%} · {row.refused:.2%}{recovery}"
