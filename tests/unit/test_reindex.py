"""The rebuild of an index beside whoever publishes: agreement whatever the order, and whatever dies on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from jobs.errors import LeaseLost, Misconfigured, StorageFailed, Transient
from jobs.model import Rebuild, Record
from jobs.reindex import Reindexed
from search.rebuild import rebuild
from tests.conftest import Run
from tests.fakes.index import MemoryIndex
from tests.fakes.store import MemoryStore
from tests.pictures import PHOTOS, picture
from tests.unit.rebuild_kit import KEY, POLICY, Dead, Stage, Turns

SEEDS = range(600)


def played(seed: object, *, folders: bool, kill: tuple[str, int] | None = None) -> tuple[Stage, dict[str, object]]:
    """Play a rebuild and two publishers to their ends."""
    turns = Turns(seed, kill=kill)
    stage = Stage(turns, folders=folders)

    async def play() -> dict[str, object]:
        await stage.begin()
        return await turns.play(rebuild=stage.rebuild(), one=stage.publisher("one"), two=stage.publisher("two"))

    return stage, asyncio.run(play())


@pytest.fixture(params=["alias", "folders"])
def folders(request: pytest.FixtureRequest) -> bool:
    """Whether indexes change places, or an alias leads to one of them."""
    return bool(request.param == "folders")


@pytest.mark.parametrize("lot", range(4))
def test_whoever_publishes_beside_a_rebuild_is_in_the_index_after_it(lot: int, folders: bool) -> None:  # noqa: FBT001  # a fixture
    for seed in SEEDS[lot::4]:
        stage, ended = played(seed, folders=folders)
        assert isinstance(ended["rebuild"], Reindexed), f"seed {seed}: {ended}"
        assert (ended["one"], ended["two"]) == (None, None), f"seed {seed}: {ended}"
        stage.check()
        stage.check_clean()


def steps() -> Sequence[str]:
    """Return the port calls of a rebuild that nobody disturbs."""
    turns = Turns("steps")
    stage = Stage(turns)

    async def play() -> None:
        await stage.begin()
        await turns.play(rebuild=stage.rebuild())

    asyncio.run(play())
    return turns.steps["rebuild"]


STEPS = steps()
EACH = pytest.mark.parametrize(
    "at", range(1, len(STEPS) + 1), ids=[f"{at}-{step}".replace(" ", "-") for at, step in enumerate(STEPS, 1)]
)


@EACH
def test_a_rebuild_that_is_killed_harms_nobody_and_the_next_clears_up(at: int, folders: bool) -> None:  # noqa: FBT001  # a fixture
    for seed in range(12):
        stage, ended = played(f"{seed} {at}", folders=folders, kill=("rebuild", at))
        assert isinstance(ended["rebuild"], (Dead, Reindexed)), f"seed {seed}: {ended}"
        assert (ended["one"], ended["two"]) == (None, None), f"seed {seed}: {ended}"
        stage.life.settled()
        stage.check()
        asyncio.run(stage.rebuild(wired=False))
        stage.check()
        stage.check_clean()


@EACH
def test_a_rebuild_that_fails_leaves_nothing_or_what_the_next_clears_up(at: int, folders: bool) -> None:  # noqa: FBT001  # a fixture
    for seed in range(12):
        stage, ended = failed(seed, at, folders=folders)
        assert isinstance(ended["rebuild"], (StorageFailed, Reindexed)), f"seed {seed}: {ended}"
        assert (ended["one"], ended["two"]) == (None, None), f"seed {seed}: {ended}"
        stage.life.settled()
        stage.check()
        if "life switch" not in STEPS[:at]:
            stage.check_clean()
        asyncio.run(stage.rebuild(wired=False))
        stage.check()
        stage.check_clean()


def failed(seed: int, at: int, *, folders: bool) -> tuple[Stage, dict[str, object]]:
    """Play a rebuild, of which one call fails as a service would, and two publishers to their ends."""
    turns = Turns(f"fails {seed} {at}")
    stage = Stage(turns, folders=folders)

    def fail(who: str, _: str) -> None:
        if who == "rebuild" and len(turns.steps[who]) == at:
            raise StorageFailed("try", "it", "it broke")

    turns.before = fail

    async def play() -> dict[str, object]:
        await stage.begin()
        return await turns.play(rebuild=stage.rebuild(), one=stage.publisher("one"), two=stage.publisher("two"))

    return stage, asyncio.run(play())


def test_what_a_killed_rebuild_left_is_dropped_before_another_index_is_made(run: Run) -> None:
    stage = Stage(Turns("left", kill=("rebuild", STEPS.index("store scan") + 1)))
    run(stage.begin())
    assert isinstance(run(stage.turns.play(rebuild=stage.rebuild()))["rebuild"], Dead)
    assert len(stage.life.all) == 2
    there: list[int] = []
    make = stage.life.make

    async def counted() -> str:
        there.append(len(stage.life.all))
        return await make()

    stage.life.make = counted  # type: ignore[method-assign]  # looks, then goes on
    assert run(stage.rebuild(wired=False)).cleared == ("v2",)
    assert there == [1]
    stage.check_clean()


def test_what_was_killed_behind_its_switch_is_brought_to_its_end_first(run: Run) -> None:
    stage = Stage(Turns("behind", kill=("rebuild", STEPS.index("life switch") + 2)))
    run(stage.begin())
    assert isinstance(run(stage.turns.play(rebuild=stage.rebuild()))["rebuild"], Dead)
    assert stage.life.used == "v2"
    done = run(stage.turns.play(next=stage.rebuild("next")))["next"]
    assert (done.finished, done.cleared, done.former) == (True, ("v1",), "v2")
    steps = stage.turns.steps["next"]
    assert steps.index("sleep 15") < steps.index("store remove Rebuild") < steps.index("life drop") < steps.index("life make")
    stage.check()
    stage.check_clean()


def test_what_others_may_read_later_is_waited_for_before_the_scan(run: Run) -> None:
    stage = Stage(Turns("settle"))
    stage.settle = 5.0
    run(stage.begin())
    assert isinstance(run(stage.turns.play(rebuild=stage.rebuild()))["rebuild"], Reindexed)
    steps = stage.turns.steps["rebuild"]
    assert steps.index("store put", steps.index("life make")) < steps.index("sleep 5") < steps.index("store sources")


def test_two_rebuilds_are_kept_apart(run: Run) -> None:
    stage = Stage(Turns("apart"))

    async def play() -> dict[str, object]:
        await stage.begin()
        return await stage.turns.play(first=stage.rebuild("first"), second=stage.rebuild("second", sole=False))

    ended = run(play())
    assert sorted(type(one).__name__ for one in ended.values()) in (["LeaseHeld", "Reindexed"], ["Reindexed", "Reindexed"])
    stage.check()
    stage.check_clean()


def test_a_rebuild_that_a_publisher_gave_up_switches_nothing_and_says_why(run: Run) -> None:
    stage = Stage(Turns("given up"))

    def give_up(_: str, what: str) -> None:
        if what == "fresh revisions":
            [(kind, key)] = [one for one in stage.store.documents if one[0] == "Rebuild"]
            document, version = stage.store.documents[kind, key]
            assert isinstance(document, Rebuild)
            stage.store.documents[kind, key] = (replace(document, failed="the disk is full"), version + "0")

    stage.turns.before = give_up

    async def play() -> dict[str, object]:
        await stage.begin()
        return await stage.turns.play(rebuild=stage.rebuild())

    error = run(play())["rebuild"]
    assert isinstance(error, StorageFailed)
    assert "the disk is full" in str(error)
    assert "index rebuild" in error.hint
    assert stage.life.used == "v1"
    stage.check()
    stage.check_clean()


def test_a_zombie_that_wakes_after_another_rebuild_switches_nothing(run: Run) -> None:
    stage = Stage(Turns("zombie"))
    done: list[Reindexed] = []

    def sleep_through_another(_: str, what: str) -> None:
        if what == "fresh revisions" and not done:
            with ThreadPoolExecutor(1) as other:
                done.append(other.submit(asyncio.run, stage.rebuild("second", wired=False)).result())

    stage.turns.before = sleep_through_another

    async def play() -> dict[str, object]:
        await stage.begin()
        return await stage.turns.play(rebuild=stage.rebuild())

    error = run(play())["rebuild"]
    assert isinstance(error, (LeaseLost, Misconfigured)), error
    assert stage.life.used == done[0].fresh
    stage.check()
    stage.check_clean()


def asleep(stage: Stage) -> None:
    """Bring a rebuild to the moment in which it is about to switch, and let it sleep there."""
    asyncio.run(stage.begin())
    assert isinstance(asyncio.run(stage.turns.play(rebuild=stage.rebuild()))["rebuild"], Dead)
    assert stage.rebuilt().step == "switching"


def wakes(stage: Stage, at: str) -> list[str]:
    """Let the sleeper switch at the first call of this name that the next rebuild makes; return what came of that."""
    came: list[str] = []

    def wake(who: str, what: str) -> None:
        if who == "next" and what == at and not came:
            try:
                stage.life.switch("v2").send(None)
            except StopIteration:
                came.append("switched")
            except Misconfigured:
                came.append("refused")

    stage.turns.before = wake
    return came


def test_a_sleeper_that_switches_before_its_index_is_dropped_is_brought_to_its_end(run: Run) -> None:
    stage = Stage(Turns("sleeper", kill=("rebuild", STEPS.index("life switch") + 1)))
    asleep(stage)
    came = wakes(stage, "life drop")
    done = run(stage.turns.play(next=stage.rebuild("next")))["next"]
    assert (came, done.finished, done.former) == (["switched"], True, "v2")
    stage.check()
    stage.check_clean()


def test_a_sleeper_cannot_switch_once_publishers_are_told_of_no_rebuild(run: Run) -> None:
    stage = Stage(Turns("sleeper", kill=("rebuild", STEPS.index("life switch") + 1)))
    asleep(stage)
    came = wakes(stage, "store remove Rebuild")
    done = run(stage.turns.play(next=stage.rebuild("next"), one=stage.publisher("one")))["next"]
    assert (came, done.finished, done.former) == (["refused"], False, "v1")
    stage.check()
    stage.check_clean()


def test_what_cannot_be_dropped_stays_known_to_publishers_for_its_sleeper_may_switch_to_it() -> None:
    stage = Stage(Turns("stuck", kill=("rebuild", STEPS.index("life switch") + 1)))
    asleep(stage)

    async def stuck(name: str) -> None:
        raise StorageFailed("delete", name, "status 403")

    stage.life.drop = stuck  # type: ignore[method-assign]  # deletes nothing
    with pytest.raises(StorageFailed, match="403"):
        asyncio.run(stage.rebuild("next", wired=False))
    assert stage.rebuilt().fresh == "v2"
    assert stage.life.used == "v1"


def test_a_rebuild_that_another_clears_says_that_it_was_taken_over(run: Run) -> None:
    stage = Stage(Turns("cleared"))

    def take_back(_: str, what: str) -> None:
        if what == "fresh revisions":
            document, version = stage.store.documents["Rebuild", KEY]
            stage.store.documents["Rebuild", KEY] = (document, version + "0")

    stage.turns.before = take_back

    async def play() -> dict[str, object]:
        await stage.begin()
        return await stage.turns.play(rebuild=stage.rebuild())

    assert isinstance(run(play())["rebuild"], LeaseLost)


class Lossy(MemoryIndex):
    """Acknowledges one document, and never holds it."""

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        answers = await super().publish(records)
        self.documents.pop(picture("2.jpg").id, None)
        return answers


def test_an_index_that_goes_on_differing_is_not_switched_to(run: Run) -> None:
    stage = Stage(Turns("lossy"))
    run(stage.begin())
    stage.life.made = Lossy
    with pytest.raises(StorageFailed, match="1 documents differ"):
        run(stage.rebuild(wired=False))
    assert stage.life.used == "v1"
    stage.check_clean()


class Stale(MemoryIndex):
    """Shows one document at an older revision, until it is sent for the second time: the same number of documents, all there."""

    sent = 0

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        answers = await super().publish(records)
        key = picture("2.jpg").id
        if any(record.id == key for record in records):
            self.sent += 1
            if self.sent == 1:
                self.documents[key] = replace(self.documents[key], rev=0)
        return answers


def test_revisions_are_compared_and_not_only_counted(run: Run) -> None:
    stage = Stage(Turns("stale"))
    run(stage.begin())
    stage.life.made = Stale
    done = run(stage.rebuild(wired=False))
    assert (done.documents, done.compared, done.repaired) == (4, 4, 1)
    stage.check()


def test_ids_are_compared_and_not_only_counted(run: Run) -> None:
    stage = Stage(Turns("ids"))
    run(stage.begin())

    class Strange(MemoryIndex):
        async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
            if not self.documents:
                await super().publish([picture("nobody knows it.jpg")])
            return await super().publish(records)

    stage.life.made = Strange
    done = run(stage.rebuild(wired=False))
    assert (done.documents, done.compared, done.repaired) == (4, 4, 1)
    stage.check()


class Shaky(MemoryStore):
    """A ledger whose scans break off behind every batch, and once more before the next."""

    async def scan(self, source: str, **about: object) -> AsyncGenerator[Sequence[Record], None]:
        async for batch in super().scan(source, **about):  # type: ignore[arg-type]  # as it came
            yield batch
            raise Transient("scan", source, "the connection was reset")


def test_a_scan_that_breaks_off_goes_on_behind_the_last_name(run: Run) -> None:
    store, index = Shaky(), MemoryIndex()
    run(store.write([picture(f"{at:04}.jpg") for at in range(1203)]))
    batches: list[int] = []

    async def told(number: int) -> None:
        batches.append(number)

    assert run(rebuild(ledger=store, index=index, sources=[PHOTOS], policy=POLICY, told=told)) == 1203
    assert (sum(batches), len(index.documents)) == (1203, 1203)


def test_a_refusal_of_the_new_index_is_marked_and_sinks_nothing(run: Run) -> None:
    class Picky(MemoryIndex):
        async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
            await super().publish([record for record in records if record.name != "2.jpg"])
            return ["no such name" if record.name == "2.jpg" else None for record in records]

    stage = Stage(Turns("picky"))
    run(stage.begin())
    stage.life.made = Picky
    assert run(stage.rebuild(wired=False)).documents == 3
    assert stage.store.records[picture("2.jpg").id].unpublished == "no such name"
