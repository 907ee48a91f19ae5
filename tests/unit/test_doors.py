from __future__ import annotations

import asyncio
import math
from collections import Counter

import pytest

from jobs.adapters.azure_vision import Question, features, open_azure_vision
from jobs.doors import FAULTS, LONGEST_REST, REST, Doors
from jobs.errors import Misconfigured, Refused, Transient
from jobs.model import Image
from jobs.pace import Pace
from jobs.steps import HERE, Door, Ready
from jobs.throttle import Throttle
from tests.conftest import Run
from tests.simulation.loop import VirtualLoop, run_virtually
from tests.standins.serve import served
from tests.standins.vision import Fault, VisionStandin
from tests.unit.vision_kit import CREDENTIAL, photo, preparation

EAST, WEST = Door("east", 10.0), Door("west", 20.0)


def doors(per_second: float | None = None) -> Doors:
    return Doors(lambda most: Pace(concurrency=64, most=most), per_second)


def test_calls_go_where_they_may_start_and_each_door_keeps_its_own_rate() -> None:
    found, used = doors(), Counter[Door]()
    now, end = 0.0, 10.0
    while now < end:
        at, door = found.admit((EAST, WEST), now)
        if at <= now:
            used[door] += 1
            found.answered(door, now + 0.01, now)
        else:
            now = at
    assert used[EAST] == pytest.approx(100, abs=2)
    assert used[WEST] == pytest.approx(200, abs=2)


def test_without_any_rate_the_doors_take_turns() -> None:
    found = doors()
    one, other = Door("one"), Door("other")
    assert Counter(found.admit((one, other), 0.0)[1] for _ in range(10)) == {one: 5, other: 5}


def test_an_ill_door_is_rested_and_tried_again_by_one_call() -> None:
    found = doors()
    ill, well = Door("ill"), Door("well")
    among = (ill, well)
    for _ in range(FAULTS):
        found.admit((ill,), 0.0)
        found.failed(ill, among, 0.0, faults=1)
    assert {found.admit(among, 1.0)[1] for _ in range(5)} == {well}
    found.admit(among, REST)
    assert found.admit((ill,), REST) == (math.inf, ill), "one trial at a time"
    found.failed(ill, among, REST, faults=1)
    assert found.admit((ill,), REST + 1) == (REST + 2 * REST, ill)
    assert found.admit((ill,), 3 * REST) == (3 * REST, ill)
    found.answered(ill, 3 * REST + 0.1, 3 * REST)
    assert [found.admit((ill,), 20.0)[0] for _ in range(3)] == [20.0] * 3


def test_a_rest_is_bounded() -> None:
    found = doors()
    ill, now = Door("ill"), 0.0
    for _ in range(20):
        at, _ = found.admit((ill,), now)
        now = max(at, now)
        if at > now:
            continue
        found.failed(ill, (ill, EAST), now, faults=FAULTS)
        now = found.admit((ill,), now)[0]
    found.admit((ill,), now)
    found.failed(ill, (ill, EAST), now, faults=1)
    assert found.admit((ill,), now)[0] - now == LONGEST_REST


def test_the_only_door_is_never_rested() -> None:
    found = doors()
    for _ in range(10):
        found.admit((HERE,), 0.0)
        assert not found.failed(HERE, (HERE,), 0.0, faults=1)
    assert found.admit((HERE,), 0.0)[0] == 0.0


def test_a_share_is_a_part_of_the_quota_of_each_door_also_of_one_that_comes_later() -> None:
    found, plain = doors(per_second=50.0), Door("plain")
    found.pace(EAST)
    found.share(0.5, 100.0)
    assert [found.pace(door).rate for door in (EAST, WEST, plain)] == [5.0, 10.0, 25.0]
    found.share(1.0, 100.0)
    assert [found.pace(door).rate for door in (EAST, WEST, plain)] == [10.0, 20.0, 50.0], "never more than its own quota"
    found.share(0.5, 1.0)
    assert found.admit((EAST, WEST), 2.0)[0] == math.inf


def calls(throttle: Throttle, errors: dict[Door, Exception], number: int = 12) -> tuple[Counter[Door], list[Exception]]:
    """Make calls, one after the other, through both doors; return who served how many, and what the others raised."""
    served_by, raised = Counter[Door](), []

    async def play() -> None:
        for _ in range(number):
            try:
                async with throttle.call(among=(EAST, WEST)) as door:
                    if door in errors:
                        raise errors[door]
                    served_by[door] += 1
            except (Transient, Refused) as error:
                raised.append(error)
            await asyncio.sleep(0.2)

    run_virtually(play(), VirtualLoop())
    return served_by, raised


def test_a_door_that_serves_nobody_is_a_passing_fault_while_another_one_is_well() -> None:
    served_by, raised = calls(Throttle(concurrency=4, max_bytes=1), {EAST: Refused("classify", "", "the key was revoked")})
    assert served_by == {WEST: 11}
    [error] = raised
    assert isinstance(error, Transient)
    assert "the key was revoked" in str(error)


def test_doors_that_all_serve_nobody_stop_the_run() -> None:
    gone = Refused("classify", "", "the model is retired")
    _, raised = calls(Throttle(concurrency=4, max_bytes=1), {EAST: gone, WEST: gone}, number=2)
    assert [type(error) for error in raised] == [Transient, Refused]


# AI Vision through two resources

PINNED = Question(features(["tags", "caption"]), model="2023-10-01")


def test_two_resources_share_the_calls_and_answer_alike(run: Run) -> None:
    first, second = VisionStandin(fast=True), VisionStandin(fast=True)

    async def world() -> None:
        async with open_azure_vision(
            f"{one}#500,{other}", PINNED, credential=CREDENTIAL, preparation=preparation(), price=1.0
        ) as vision:
            assert "2 resources" in await vision.check()
            step = await vision.prepare(Image("a.jpg", photo()))
            assert isinstance(step, Ready)
            assert [door.per_second for door in step.doors] == [500.0, None]
            answers = [await step.make(door) for door in step.doors]
            assert answers[0] == answers[1]

    with served(first) as one, served(second) as other:
        run(world())
    assert first.counts.paid == second.counts.paid
    assert first.counts.paid.total() == 1


@pytest.mark.parametrize(
    ("location", "question", "says"),
    [
        ("{0},{0}", PINNED, "named twice"),
        ("{0},http://127.0.0.1:1", Question(features(["tags"])), "IMAGESWEEP_VISION_MODEL"),
        ("{0}#fast", PINNED, "'fast' is no rate"),
        ("{0}#0", PINNED, "'0' is no rate"),
        ("{0}#-3", PINNED, "'-3' is no rate"),
        ("{0}#inf", PINNED, "'inf' is no rate"),
        ("{0},nonsense", PINNED, "nonsense"),
    ],
)
def test_resources_that_cannot_be_one_are_a_clear_error(run: Run, location: str, question: Question, says: str) -> None:
    async def world() -> None:
        async with open_azure_vision(
            location.format("http://127.0.0.1:9"), question, credential=CREDENTIAL, preparation=preparation(), price=1.0
        ):
            pass

    with pytest.raises(Misconfigured, match=says):
        run(world())


def test_a_sweep_goes_on_through_the_other_resource_when_one_is_ill(run: Run) -> None:
    ill, well = VisionStandin(fast=True), VisionStandin(fast=True)
    ill.terms.always = Fault(status=503)
    throttle = Throttle(concurrency=8, max_bytes=1 << 30)

    async def world() -> None:
        async with open_azure_vision(
            f"{one},{other}", PINNED, credential=CREDENTIAL, preparation=preparation(), price=1.0
        ) as vision:
            for number in range(20):
                step = await vision.prepare(Image("a.jpg", photo(number)))
                assert isinstance(step, Ready)
                for _ in range(3):
                    try:
                        async with throttle.call(among=step.doors) as door:
                            await step.make(door)
                            break
                    except Transient:
                        continue

    with served(ill) as one, served(well) as other:
        run(world())
    assert ill.counts.calls == FAULTS
    assert len(well.counts.paid) == 20
