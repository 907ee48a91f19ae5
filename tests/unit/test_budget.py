"""Budgets of a day and a month: never passed by one call, whoever dies, whatever is lost on the way."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.budget import NANOS, PERIODS, Budget, Limit, Purse, balance, begins_again, key_of, nanos, share, spent
from jobs.errors import Misconfigured, Rejected, Spent, Transient
from jobs.event import Answer, settle_event
from jobs.model import Account, Analysis, Image, Outcome, Report
from jobs.retry import Policy
from jobs.run import Terms
from jobs.steps import Done, Door, Ready, Step
from jobs.sweep import sweep
from jobs.work import Control, Ports
from tests.fakes.source import MemorySource
from tests.fakes.store import MemoryStore
from tests.simulation.loop import VirtualLoop
from tests.simulation.process import Dead, Fate, Process, Wire
from tests.unit.shop_kit import TERMS, Shop, Till, opened

POLICY = Policy(attempts=3, seconds=30, base=0.1, cap=1)
DAY = 86_400
MIDNIGHT = 22 * 3600
"""Seconds from the beginning of a virtual loop, which is at two in the morning, to midnight."""
NOON = datetime(2026, 12, 31, 12, tzinfo=UTC)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


def under(**changes: Any) -> Terms:
    return replace(TERMS, **changes)


def run_sweep(shop: Shop, terms: Terms, *, till: Till | None = None) -> Report:
    return shop.run(sweep(ports=shop.ports(till=till), terms=terms))


def account(shop: Shop, period: str = "day") -> Account:
    return shop.run(balance(shop.store, shop.loop.now(), POLICY))[period]  # type: ignore[index]  # one of the two


# The decisions


def test_a_period_is_named_and_ends_by_utc() -> None:
    east = NOON.astimezone(tz=None) + timedelta(hours=13)
    assert [key_of(period, NOON) for period in PERIODS] == ["day|2026-12-31", "month|2026-12"]
    assert [key_of(period, east) for period in PERIODS] == ["day|2027-01-01", "month|2027-01"]
    assert begins_again("day", NOON) == begins_again("month", NOON) == datetime(2027, 1, 1, tzinfo=UTC)
    assert begins_again("month", datetime(2026, 1, 31, tzinfo=UTC)) == datetime(2026, 2, 1, tzinfo=UTC)


@given(
    st.integers(1, 10**6),
    st.integers(0, 10**12) | st.none(),
    st.integers(0, 10**6),
    st.integers(0, 10**12),
    st.integers(0, 10**7),
)
def test_a_share_is_within_what_is_left(calls: int, money: int | None, called: int, paid: int, price: int) -> None:
    limit, account = Limit(calls, money), Account(called, paid)
    if spent("day", limit, account, price=price):
        return
    number = share(limit, account, price=price, block=100)
    assert 1 <= number <= 100
    assert called + number <= calls
    assert money is None or paid + number * price <= money


# The purse


class World:
    """Some processes that spend from one store at once, over midnight, and what they used in which period."""

    def __init__(self, seed: int, budget: Budget, *, faults: bool) -> None:
        self.dice = random.Random(seed)
        self.loop = VirtualLoop()
        self.loop.moment = MIDNIGHT - 30.0
        self.store = MemoryStore(self.loop.now)
        self.budget = budget
        self.faults = faults
        self.used: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()
        self.stopped = 0

    def process(self, number: int) -> Process:
        fate = Fate()
        if self.faults:
            fate.fail_before = fate.fail_after = self.dice.choice([0.0, 0.1])
            fate.crash_at = self.dice.choice([None, self.dice.randrange(1, 40)])
        return Process(str(number), self.dice, Counter(), fate)

    async def spend(self, number: int) -> None:
        store: Any = Wire(self.store, self.process(number), lambda method, _: method)
        purse = Purse(store, self.budget, self.loop.now, POLICY, self.dice.choice([1, 3, 100]))
        try:
            await asyncio.gather(*(self._calls(purse) for _ in range(self.dice.randrange(1, 6))))
            await purse.close()
        except Dead:
            return

    async def _calls(self, purse: Purse) -> None:
        for _ in range(self.dice.randrange(30)):
            price = self.dice.choice([0.0, 0.001, 0.0025])
            try:
                async with purse.leave(price) as leave:
                    await asyncio.sleep(self.dice.expovariate(1.0))
                    await purse.renew(leave)
                    leave.used = self.dice.random() < 0.9
                    if leave.used:
                        self._use(nanos(price))
            except Spent:
                self.stopped += 1
                await asyncio.sleep(5)
            except Transient:
                continue

    def _use(self, price: int) -> None:
        for period in PERIODS:
            key, limit = key_of(period, self.loop.now()), self.budget.limit(period)
            self.used[key] += 1
            self.paid[key] += price
            assert limit.calls is None or self.used[key] <= limit.calls, f"{self.used[key]} calls in {key}"
            assert limit.nanos is None or self.paid[key] <= limit.nanos, f"{self.paid[key]} paid in {key}"

    def live(self) -> None:
        async def all_of_them() -> None:
            await asyncio.gather(*(self.spend(number) for number in range(4)))

        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(all_of_them())

    def accounts(self) -> dict[str, Account]:
        return {key: one for (_, key), (one, _) in self.store.documents.items() if isinstance(one, Account)}


BUDGETS = st.builds(
    Budget,
    st.integers(1, 60) | st.none(),
    st.floats(0.003, 0.1) | st.none(),
    st.integers(1, 100) | st.none(),
    st.floats(0.003, 0.2) | st.none(),
)


@given(st.integers(0, 2**32), BUDGETS)
@settings(max_examples=80, deadline=None)
def test_four_processes_never_pass_a_budget_though_they_die_and_writes_are_lost(seed: int, budget: Budget) -> None:
    world = World(seed, budget, faults=True)
    world.live()
    found = world.accounts()
    assert all(found[key].calls >= number and found[key].nanos >= world.paid[key] for key, number in world.used.items())


@given(st.integers(0, 2**32), BUDGETS)
@settings(max_examples=40, deadline=None)
def test_an_account_says_what_was_spent_once_all_have_closed(seed: int, budget: Budget) -> None:
    world = World(seed, budget, faults=False)
    world.live()
    said = {key: (one.calls, one.nanos) for key, one in world.accounts().items() if one.calls}
    assert said == {key: (number, world.paid[key]) for key, number in world.used.items()}


def test_one_process_uses_a_budget_to_its_last_call(shop: Shop) -> None:
    async def spend(purse: Purse) -> int:
        for number in range(1000):
            try:
                async with purse.leave(0.0025) as leave:
                    leave.used = True
            except Spent:
                return number
        return 1000

    purses = [Budget(day_calls=137), Budget(month_cost=0.3425), Budget(day_calls=200, day_cost=0.3425)]
    for budget in purses:
        store = MemoryStore(shop.loop.now)
        assert shop.run(spend(Purse(store, budget, shop.loop.now, POLICY))) == 137


class Twins(MemoryStore):
    """A store whose first write of an account fails before its effect, in the moment in which another process writes the same."""

    other: Purse | None = None

    async def put(self, key: str, document: Any, version: str | None) -> str:
        if isinstance(document, Account) and self.other is not None:
            other, self.other = self.other, None
            async with other.leave(1.0) as leave:
                leave.used = True
            raise Transient("put", key, "lost on the way")
        return await super().put(key, document, version)


def test_two_processes_that_write_the_same_sums_do_not_take_each_others_write_for_theirs(shop: Shop) -> None:
    async def spend(purse: Purse) -> None:
        async with purse.leave(1.0) as leave:
            leave.used = True

    store = Twins(shop.loop.now)
    store.other = Purse(store, Budget(day_calls=1), shop.loop.now, POLICY)
    with pytest.raises(Spent):
        shop.run(spend(Purse(store, Budget(day_calls=1), shop.loop.now, POLICY)))


def test_a_call_that_waited_past_midnight_is_one_of_the_new_day(shop: Shop) -> None:
    async def wait(purse: Purse) -> None:
        await asyncio.sleep(MIDNIGHT - 1)
        async with purse.leave(1.0) as leave:
            await asyncio.sleep(2)
            await purse.renew(leave)
            leave.used = True
        await purse.close()

    shop.run(wait(Purse(shop.store, Budget(day_calls=5), shop.loop.now, POLICY)))
    found = {key: one.calls for (_, key), (one, _) in shop.store.documents.items() if isinstance(one, Account)}
    assert found == {"day|2026-03-01": 0, "day|2026-03-02": 1, "month|2026-03": 1}


# Sweeps


def _market(shop: Shop, number: int) -> list[MemorySource]:
    """Return four sources with so many photos each, all different."""
    sources = [MemorySource(shop.loop.now, page=5, key=f"memory:{name}") for name in "abcd"]
    for source in sources:
        for photo in range(number):
            source.put(f"{photo:02}.jpg", f"{source.key}{photo}".encode())
    return sources


class Dated(Till):
    """A classifier that counts its calls by day."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self.price = 0.0025
        self.days: Counter[str] = Counter()
        self._loop = loop

    async def classify(self, image: Image) -> Analysis:
        self.days[key_of("day", self._loop.now())] += 1
        return await super().classify(image)


@pytest.mark.parametrize("budget", [Budget(day_calls=23), Budget(day_cost=0.0575), Budget(day_calls=23, month_calls=100)])
@pytest.mark.parametrize("crash", [None, 25, 60, 95])
def test_four_sweeps_at_once_keep_to_the_budget_and_go_on_the_next_day(shop: Shop, budget: Budget, crash: int | None) -> None:
    sources, till = _market(shop, 20), Dated(shop.loop)
    terms = under(budget=budget, pages_in_flight=1)

    async def one(number: int, source: MemorySource, day: int) -> Report | None:
        fate = Fate(crash_at=crash) if number == 0 and day == 0 else Fate()
        process = Process(f"{day}.{number}", random.Random(day * 10 + number), Counter(), fate)
        parts: list[Any] = [Wire(part, process, lambda method, _: method) for part in (source, till, shop.store, shop.index)]
        ports = Ports(parts[0], parts[1], parts[2], parts[2], parts[2], parts[3])
        try:
            return await sweep(ports=ports, terms=terms, control=Control(run_id=process.name))
        except (Dead, BaseExceptionGroup):
            return None

    async def night(day: int) -> list[Report]:
        found = await asyncio.gather(*(one(number, source, day) for number, source in enumerate(sources)))
        return [report for report in found if report]

    for day in range(9):
        reports = shop.run(night(day))
        assert till.days[key_of("day", shop.loop.now())] <= 23
        if len(reports) == 4 and {report.status for report in reports} == {"complete"}:
            break
        stopped = [report for report in reports if report.status == "stopped"]
        assert all(report.goes_on == begins_again("day", shop.loop.now()) for report in stopped)
        shop.later(DAY)
    assert max(till.days.values()) >= (20 if crash is None else 1), "a budget is to be used"
    assert set(shop.outcomes().values()) == {Outcome.CLASSIFIED}
    assert len(shop.store.records) == 80
    assert till.calls <= 80 + (terms.concurrency + terms.write_buffer if crash else 0)


def test_a_budget_that_is_spent_stops_a_sweep_which_says_until_when(shop: Shop) -> None:
    shop.fill(6)
    terms = under(budget=Budget(day_calls=4))
    report = run_sweep(shop, terms)
    assert (report.status, report.calls, report.cost, report.classified) == ("stopped", 4, 4.0, 4)
    assert report.goes_on == datetime(2026, 3, 2, tzinfo=UTC)
    assert report.message == "The budget of 4 calls a day is spent. It goes on from 2026-03-02 00:00 UTC, when it is run then."
    begun = len(shop.source.begun)
    again = run_sweep(shop, terms)
    assert (again.status, again.calls, again.goes_on) == ("stopped", 0, report.goes_on)
    assert again.listed == 0, "nothing is claimed that cannot be paid"
    assert len(shop.source.begun) <= begun + 1
    shop.later(DAY)
    last = run_sweep(shop, terms)
    assert (last.status, last.classified, last.goes_on) == ("complete", 2, None)
    assert account(shop, "month").calls == 6


def test_a_month_is_bounded_as_well(shop: Shop) -> None:
    shop.fill(4)
    terms = under(budget=Budget(day_calls=3, month_cost=3.5))
    assert run_sweep(shop, terms).calls == 3
    shop.later(DAY)
    report = run_sweep(shop, terms)
    assert (report.calls, report.goes_on) == (0, datetime(2026, 4, 1, tzinfo=UTC))
    assert "3.50 a month" in report.message


def test_a_run_has_a_budget_of_its_own(shop: Shop) -> None:
    shop.fill(5)
    shop.till.price = 0.0025
    report = run_sweep(shop, under(max_cost=0.0075))
    assert (report.status, report.calls, report.cost) == ("stopped", 3, 0.0075)
    assert "budget of 0.01 is spent" in report.message
    assert run_sweep(shop, under(max_calls=1)).calls == 1
    assert run_sweep(shop, under(max_calls=0)).calls == 0
    assert run_sweep(shop, TERMS).calls == 1


def test_what_is_paid_is_counted_without_any_budget_and_what_is_free_is_not(shop: Shop) -> None:
    shop.fill(3)
    run_sweep(shop, TERMS)
    assert account(shop) == replace(account(shop), calls=3, nanos=3 * NANOS)
    free = Till("fake:2")
    free.price = 0.0
    shop.fill(3, folder="a/")
    assert run_sweep(shop, TERMS, till=free).calls > 0
    assert account(shop).calls == 3
    shop.later(DAY)
    shop.fill(3, folder="b/")
    assert run_sweep(shop, under(budget=Budget(day_calls=2)), till=free).calls == 2


@pytest.mark.parametrize("budget", [Budget(day_cost=0.9), Budget(month_cost=0.9)])
def test_a_budget_of_less_than_one_image_is_refused(shop: Shop, budget: Budget) -> None:
    shop.fill(1)
    with pytest.raises(Misconfigured, match=r"IMAGESWEEP_\w+_COST: 0.9 is less than the 1 that one image costs"):
        run_sweep(shop, under(budget=budget))


class Unreachable(MemoryStore):
    """A store whose accounts are out of reach."""

    async def get(self, kind: Any, key: str) -> Any:
        if kind is Account:
            raise Transient("get", key, "no answer", unknown=True)
        return await super().get(kind, key)


def test_no_call_is_made_that_cannot_be_counted(shop: Shop) -> None:
    shop.store = Unreachable(shop.loop.now)
    shop.fill(3)
    report = run_sweep(shop, TERMS)
    assert (report.status, report.calls, report.unknown_calls, report.dead) == ("stopped", 0, 0, 0)
    assert "keep the account of" in report.message
    assert shop.till.calls == 0


class Silent(Till):
    """A service that takes calls and answers none."""

    async def classify(self, image: Image) -> Analysis:
        self.paid["asked"] += 1
        await asyncio.sleep(10_000)
        return await super().classify(image)


def test_a_call_of_unknown_outcome_counts_as_spent(shop: Shop) -> None:
    shop.fill(1)
    till = Silent()
    report = run_sweep(shop, under(budget=Budget(day_calls=10)), till=till)
    assert report.unknown_calls == report.calls == till.paid["asked"] == account(shop).calls == 1


def test_events_spend_from_the_same_budget(shop: Shop) -> None:
    shop.fill(3)
    terms = under(budget=Budget(day_calls=2))
    answers = [shop.run(settle_event(f"{n:02}.jpg", ports=shop.ports(), terms=terms)) for n in range(3)]
    assert answers == [Answer.SETTLED, Answer.SETTLED, Answer.WAITING]
    assert shop.till.calls == account(shop).calls == 2


# What is a call


class Choosy(Till):
    """A classifier that refuses by itself what begins with `small`, before it asks the service; the rest takes two requests."""

    price = 0.75

    async def prepare(self, image: Image) -> Step[Analysis]:
        if image.data.startswith(b"small"):
            raise Rejected("prepare", image.name, "40 x 40 pixels", failure_class="too-small")

        async def first(_: Door) -> Step[Analysis]:
            self.paid["first"] += 1
            return Ready(0.5, second)

        async def second(_: Door) -> Step[Analysis]:
            return Done(await self.classify(image))

        return Ready(0.25, first)


def test_a_call_is_what_the_service_is_asked_and_a_refusal_of_our_own_is_none(shop: Shop) -> None:
    for name, data in {"a.jpg": b"one", "b.jpg": b"small", "c.jpg": b"bad", "d.jpg": b"small too"}.items():
        shop.source.put(name, data)
    till = Choosy()
    report = run_sweep(shop, under(budget=Budget(day_calls=4)), till=till)
    assert (report.status, report.classified, report.dead) == ("complete", 1, 3)
    assert report.calls == till.calls == account(shop).calls == 4
    assert report.cost == account(shop).nanos / NANOS == 1.5


class Slow(Choosy):
    async def prepare(self, image: Image) -> Step[Analysis]:
        await asyncio.sleep(10_000)
        return await super().prepare(image)


def test_what_cannot_be_prepared_in_time_is_no_call(shop: Shop) -> None:
    shop.fill(1)
    report = run_sweep(shop, TERMS, till=Slow())
    assert (report.calls, report.unknown_calls, report.deferred) == (0, 0, 1)
