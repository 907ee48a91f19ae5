"""The guarantee while one service fails in passing, in all the ways that it can: it costs nothing but time."""

from __future__ import annotations

import pytest

from tests.conftest import Run
from tests.faults.laws import faults
from tests.faults.world import SERVICES, Trouble, opened, said
from tests.servers.proxy import Answer, Cut, Fault, Reset, Stall

pytestmark = [pytest.mark.servers, pytest.mark.slow]

FAULTS: dict[str, Fault] = {
    "429-told": said(429, "Too many requests", **{"Retry-After": "0.05", "x-ms-retry-after-ms": "50"}),
    "429-untold": said(429, "Too many requests"),
    "500": said(500, "Internal error"),
    "502-page": Answer(502, {"Content-Type": "text/html"}, b"<html><body>Bad gateway</body></html>"),
    "503": said(503, "Busy", **{"x-ms-error-code": "ServerBusy"}),
    "reset": Reset(),
    "lost": Reset(lost=True),
    "cut": Cut(20),
    "silent": Stall(),
    "slow": Stall(20),
}
FEW = 2
"""Requests that may be answered slowly: each takes its full time."""


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_fails_in_passing_costs_nothing_but_time(
    run: Run, azurite_endpoint: str, cosmos: str, service: str, name: str
) -> None:
    fault = FAULTS[name]
    stalls = isinstance(fault, Stall)

    async def scenario() -> None:
        async with opened(azurite_endpoint, cosmos, seconds=1.0 if stalls else 20.0) as world:
            world.cause(Trouble(service, fault, most=FEW if stalls else 100), seed=len(name))
            for _ in range(2):
                await world.sweep()
            assert world.met
            await world.settle()
            assert await faults(world) == []

    run(scenario())
