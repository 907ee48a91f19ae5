"""Sweeps that pay AI Vision: once for each content, and not at all where nobody is served."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Desk
from tests.standins.vision import KEY, Fault
from tests.unit.vision_kit import World, world

__all__ = ["world"]

pytestmark = pytest.mark.slow


def _vision(world: World) -> dict[str, str]:
    return {"classifier": f"azure-vision:{world.url}", "vision_key": KEY, "vision_colours": "false"}


def test_a_sweep_pays_once_for_each_content_whatever_fails(world: World, desk: Desk) -> None:
    for seed in range(12):
        desk.photo(f"{seed}.png", seed)
    desk.photo("again.png", 3)
    world.standin.terms.faults.extend([Fault(status=500), Fault(status=429, headers={"Retry-After": "0"}), Fault(status=503)])
    answer = desk.run("sweep", "--yes", "--json", **_vision(world))
    assert answer.status == 0, answer.err
    assert (answer.json["classified"], answer.json["reused"], answer.json["throttled"]) == (12, 1, 1)
    assert len(world.standin.counts.paid) == 12
    assert not world.standin.counts.twice
    assert answer.json["cost"] == pytest.approx(0.0025 * answer.json["calls"])
    assert KEY not in answer.out + answer.err


@pytest.mark.parametrize(
    ("fault", "status", "hint"),
    [
        (Fault(status=401, code="401", message="Access denied due to invalid subscription key"), 2, "IMAGESWEEP_VISION_KEY"),
        (Fault(status=403, code="403", message="Forbidden"), 2, "Cognitive Services User"),
        (Fault(status=400, code="InvalidRequest", message="The feature 'Caption' is not supported in this region."), 2, "East US"),
        (Fault(status=301, headers={"Location": "https://other.example"}), 2, "redirects to https://other.example"),
        (Fault(status=410, message="Gone"), 1, "retired"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Fault) else "",
)
def test_a_service_that_serves_nobody_stops_the_sweep_and_marks_nothing_dead(
    world: World, desk: Desk, fault: Fault, status: int, hint: str
) -> None:
    for seed in range(3):
        desk.photo(f"{seed}.png", seed)
    world.standin.terms.always = fault
    answer = desk.run("sweep", "--yes", "--json", **_vision(world))
    assert answer.status == status, answer.err
    assert hint in answer.out + answer.err
    assert answer.json["dead"] == 0
    world.standin.terms.always = None
    again = desk.run("sweep", "--yes", "--json", **_vision(world))
    assert (again.status, again.json["classified"]) == (0, 3), again.err
    assert not world.standin.counts.twice
