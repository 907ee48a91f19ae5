"""Budgets: what may be spent in a day and in a month, by all processes over one store together.

Calls and money are set apart in blocks in an account of the store before the calls are made, by conditional writes, and what is
left of a block is given back. So an account never says less than what was spent: a crash loses the rest of its block, and no call
is ever made beyond a budget. Days and months are those of UTC, by the store's clock.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from typing import Final, Literal

from jobs.errors import Conflict, Misconfigured, Spent, SweepError, Transient
from jobs.model import Account
from jobs.ports import State
from jobs.retry import Policy, retry
from jobs.write import put

NANOS: Final = 1_000_000_000
"""Billionths: sums of prices are exact in them."""
BLOCK: Final = 100
"""Calls that are set apart at once, at most: what a crash loses of a budget."""
SHARES: Final = 8
"""A block is at most this part of what is left, so that several processes come to the end of a budget together."""
ACCOUNT: Final = "account"
"""Failure class of an account that is out of reach."""
_TRIES: Final = 100

Period = Literal["day", "month"]
PERIODS: Final[tuple[Period, ...]] = ("day", "month")


def nanos(money: float) -> int:
    """Return an amount of money in billionths of its unit."""
    return round(money * NANOS)


@dataclass(frozen=True, slots=True)
class Limit:
    """What may be spent in one period: calls, and money in billionths. None: no bound."""

    calls: int | None = None
    nanos: int | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent in a day and in a month; money in the currency of the prices. None: no bound."""

    day_calls: int | None = None
    day_cost: float | None = None
    month_calls: int | None = None
    month_cost: float | None = None

    def limit(self, period: Period) -> Limit:
        """Return what may be spent in such a period."""
        calls, cost = (self.day_calls, self.day_cost) if period == "day" else (self.month_calls, self.month_cost)
        return Limit(calls, None if cost is None else nanos(cost))

    @property
    def set(self) -> bool:
        """Whether anything is bounded."""
        return any(self.limit(period) != Limit() for period in PERIODS)


def affordable(budget: float | None, price: float, *, name: str) -> None:
    """Raise Misconfigured when an amount of money is less than one image costs, so that a run could only ever stop."""
    if budget is not None and budget < price:
        hint = "Raise it, or ask for fewer features."
        raise Misconfigured("read", name, f"{budget:g} is less than the {price:g} that one image costs", hint=hint)


def key_of(period: Period, now: datetime) -> str:
    """Return the key of the account of the period that it is now."""
    return keys_of(now.astimezone(UTC).date())[PERIODS.index(period)]


@lru_cache(2)
def keys_of(day: date) -> tuple[str, ...]:
    """Return the keys of the accounts of a day in UTC, in the order of the periods."""
    return tuple(f"{period}|{day:{'%Y-%m-%d' if period == 'day' else '%Y-%m'}}" for period in PERIODS)


def begins_again(period: Period, now: datetime) -> datetime:
    """Return when the next such period begins."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        return today + timedelta(days=1)
    return (today.replace(day=1) + timedelta(days=32)).replace(day=1)


def spent(period: Period, limit: Limit, account: Account, *, price: int) -> str:
    """Say how a budget is spent when it has not enough for one more call of this price; empty when it has."""
    if limit.calls is not None and account.calls >= limit.calls:
        return f"the budget of {limit.calls:,} calls a {period} is spent"
    if limit.nanos is not None and account.nanos + price > limit.nanos:
        return f"the budget of {limit.nanos / NANOS:,.2f} a {period} is spent"
    return ""


def share(limit: Limit, account: Account, *, price: int, block: int) -> int:
    """Return how many calls of this price to set apart of what is left, which is enough for one."""
    shares = [block]
    if limit.calls is not None:
        shares.append((limit.calls - account.calls) // SHARES)
    if limit.nanos is not None and price:
        shares.append((limit.nanos - account.nanos) // price // SHARES)
    return max(1, min(shares))


@dataclass(slots=True)
class Pot:
    """What this process has set apart in one account and not spent."""

    key: str = ""
    calls: int = 0
    nanos: int = 0

    def holds(self, key: str, price: int) -> bool:
        """Say whether there is enough for a call of this price in this period."""
        return self.key == key and self.calls > 0 and self.nanos >= price


@dataclass(slots=True)
class Leave:
    """The right to make one call at a price, in the periods whose accounts are named."""

    price: int
    keys: tuple[str, ...]
    used: bool = False


@dataclass(slots=True)
class Purse:
    """What one run may spend: draws blocks from the accounts, gives leave for one call at a time, and gives back what is left.

    `now` is the store's time. Without a `state` nothing is counted and nothing bounded.
    """

    state: State | None = None
    budget: Budget = field(default_factory=Budget)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    policy: Policy = field(default_factory=Policy)
    block: int = BLOCK
    pots: dict[Period, Pot] = field(default_factory=dict)
    old: list[Pot] = field(default_factory=list)
    line: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def leave(self, price: float) -> AsyncIterator[Leave]:
        """Hold the right to one call, which is given back unless it is used.

        Raises Spent when there is nothing left for it, Transient of the class ACCOUNT when the account is out of reach.
        """
        leave = Leave(nanos(price), ())
        await self.renew(leave)
        try:
            yield leave
        finally:
            if not leave.used:
                self._back(leave)

    async def renew(self, leave: Leave) -> None:
        """See to it that a right is one of the day and the month that it is now: a call may have waited past midnight."""
        while self.state is not None and leave.keys != (keys := self._keys()):
            self._back(leave)
            leave.keys = ()
            if not self._holds(keys, leave.price):
                async with self.line:
                    for period, key in zip(PERIODS, keys, strict=True):
                        if not self._pot(period, key).holds(key, leave.price):
                            await self._draw(period, key, leave.price)
            if self._holds(keys, leave.price):
                for period in PERIODS:
                    self.pots[period].calls -= 1
                    self.pots[period].nanos -= leave.price
                leave.keys = keys

    async def look(self, price: float) -> None:
        """Raise Spent when there is nothing left for a call at this price, before any work is begun for it."""
        if self.state is None or not self.budget.set:
            return
        now = self.now()
        for period, account in (await balance(self.state, now, self.policy)).items():
            why = spent(period, self.budget.limit(period), account, price=nanos(price))
            if why:
                raise Spent("classify", "", why, goes_on=begins_again(period, now))

    async def close(self) -> None:
        """Give back what was set apart and not spent. What cannot be given back stays spent.

        Each is tried once where it is not known whether it was done: what is given back twice lets others spend it twice.
        """
        once = replace(self.policy, attempts=1)
        for pot in (*self.old, *self.pots.values()):
            if pot.calls or pot.nanos:
                with suppress(SweepError):
                    await self._move(pot.key, lambda _, pot=pot: (-pot.calls, -pot.nanos), once)  # type: ignore[misc]
        self.pots.clear()
        self.old.clear()

    def _keys(self) -> tuple[str, ...]:
        return keys_of(self.now().astimezone(UTC).date())

    def _holds(self, keys: tuple[str, ...], price: int) -> bool:
        """Say whether a call may be taken at once; the pots change their periods only in line."""
        return all(period in self.pots and self.pots[period].holds(key, price) for period, key in zip(PERIODS, keys, strict=True))

    def _pot(self, period: Period, key: str) -> Pot:
        """Return the pot of a period; what is left of one that is over is given back at the end."""
        pot = self.pots.get(period)
        if pot is None or pot.key != key:
            if pot is not None:
                self.old.append(pot)
            pot = self.pots[period] = Pot(key)
        return pot

    def _back(self, leave: Leave) -> None:
        for pot in (*self.old, *self.pots.values()):
            if pot.key in leave.keys:
                pot.calls += 1
                pot.nanos += leave.price

    async def _draw(self, period: Period, key: str, price: int) -> None:
        """Set a block apart. Raises Spent when the account has not enough for one call."""
        limit, pot = self.budget.limit(period), self._pot(period, key)

        def block(account: Account) -> tuple[int, int]:
            why = spent(period, limit, account, price=price)
            if why:
                goes_on = begins_again(period, self.now())
                raise Spent("classify", "", why, goes_on=goes_on)
            number = share(limit, account, price=price, block=self.block)
            return number, number * price

        calls, money = await self._move(key, block)
        pot.calls += calls
        pot.nanos += money

    async def _move(self, key: str, change: Callable[[Account], tuple[int, int]], policy: Policy | None = None) -> tuple[int, int]:
        """Change an account by what `change` makes of it as it is, and return that.

        Each write has a mark of its own: two processes that write the same sums must not take each other's write for theirs.
        """
        assert self.state is not None
        try:
            for attempt in range(_TRIES):
                account, version = await retry(partial(self.state.get, Account, key), self.policy) or (Account(), None)
                calls, money = change(account)
                moved = Account(account.calls + calls, account.nanos + money, uuid.uuid4().hex)
                with suppress(Conflict):
                    await put(self.state, key, moved, version, policy or self.policy)
                    return calls, money
                await asyncio.sleep(random.random() * 0.01 * min(attempt + 1, 20))
        except Transient as error:
            raise _away(key, str(error)) from error
        raise _away(key, "it keeps changing")


def _away(key: str, cause: str) -> Transient:
    hint = "No call is made that is not counted; run it again."
    return Transient("keep the account of", key, cause, hint=hint, failure_class=ACCOUNT)


async def balance(state: State, now: datetime, policy: Policy) -> Mapping[Period, Account]:
    """Return what was spent, or is set apart, in the day and the month that it is now."""
    found = {period: await retry(partial(state.get, Account, key_of(period, now)), policy) for period in PERIODS}
    return {period: pair[0] if pair else Account() for period, pair in found.items()}
