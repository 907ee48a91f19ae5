"""What paid calls cost: a table of prices for 1,000 transactions, ours or the operator's own, in tiers by the month's volume."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from jobs.errors import Misconfigured

OURS = Path(__file__).with_name("prices.toml")
HINT: Final = "IMAGESWEEP_PRICES names a file in the form of jobs/prices.toml; leave it out for ours."
_UNIT = 1000
_TIERS = "tiers"


@dataclass(frozen=True, slots=True)
class Meter:
    """What transactions are counted together, and (transactions of the month before it, price for 1,000) of each tier."""

    name: str
    tiers: tuple[tuple[int, float], ...]

    @property
    def dearest(self) -> float:
        """The highest price of one transaction."""
        return max(price for _, price in self.tiers) / _UNIT

    def cost(self, number: int, before: int) -> float:
        """Return what so many transactions cost when there were `before` of them in the month already."""
        ends = [*(begin for begin, _ in self.tiers[1:]), math.inf]
        spans = (max(0.0, min(before + number, end) - max(before, begin)) for (begin, _), end in zip(self.tiers, ends, strict=True))
        return math.fsum(span * price / _UNIT for span, (_, price) in zip(spans, self.tiers, strict=True))

    def reached(self, number: int, before: int) -> str:
        """Say which tiers such a figure uses."""
        used = [tier for tier, after in pairwise((*self.tiers, (math.inf, 0.0))) if after[0] > before and tier[0] < before + number]
        return ", then ".join(f"{price:g} from {begin:,}" if begin else f"{price:g}" for begin, price in used)


@dataclass(frozen=True, slots=True)
class Line:
    """What one feature comes to. `tier` says which prices for 1,000 the figure uses, by transactions of the month."""

    feature: str
    transactions: int
    cost: float
    tier: str


@dataclass(frozen=True, slots=True)
class Tariff:
    """What is paid for with each image: features by the meters that count them. `requests` are the calls for one image."""

    meters: tuple[tuple[str, Meter], ...]
    requests: int
    currency: str
    said: str

    def lines(self, images: int, before: int = 0) -> list[Line]:
        """Return what so many images come to, feature by feature, when `before` of them were paid for in the month already."""
        found = []
        for feature, meter in self.meters:
            together = sum(other is meter or other == meter for _, other in self.meters)
            number, earlier = images * together, before * together
            found.append(Line(feature, images, meter.cost(number, earlier) / together, meter.reached(number, earlier)))
        return found

    def cost(self, images: int, before: int = 0) -> float:
        """Return what so many images cost."""
        return math.fsum(line.cost for line in self.lines(images, before))


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by service and feature, as the file at `path` says; `said` is where they are from, and when."""

    path: Path
    currency: str
    said: str
    table: Mapping[str, Mapping[str, Meter]]

    def of(self, service: str, features: Iterable[str]) -> float:
        """Return the price of one call that asks for these features, at the dearest tier.

        Budgets go by it, so that they hold in every month. Raises Misconfigured for a feature without a price.
        """
        return math.fsum(meter.dearest for _, meter in self.meters(service, features))

    def meters(self, service: str, features: Iterable[str]) -> tuple[tuple[str, Meter], ...]:
        """Return the meters of these features. Raises Misconfigured for one without a price."""
        known = self.table.get(service, {})
        asked = sorted(set(features))
        missing = [feature for feature in asked if feature not in known]
        if missing:
            cause = f"it has no price for {', '.join(missing)} under [{service}]"
            raise Misconfigured("read prices", str(self.path), cause, hint="Add it, for 1,000 transactions; 0 where it is free.")
        return tuple((feature, known[feature]) for feature in asked)


def load(path: Path | None = None) -> Prices:
    """Read a table of prices, ours when `path` is None. Raises Misconfigured for one that is missing or no such table."""
    file = path or OURS
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Misconfigured("read prices", str(file), str(error), hint=HINT) from error
    rows = {service: rows for service, rows in content.items() if isinstance(rows, dict)}
    tiers = {name: _tiered(file, name, value) for name, value in rows.pop(_TIERS, {}).items()}
    table = {
        service: {feature: _meter(file, f"{service}.{feature}", value, tiers) for feature, value in prices.items()}
        for service, prices in rows.items()
    }
    said = ", ".join(str(content[name]) for name in ("date", "source") if name in content)
    return Prices(file, str(content.get("currency", "USD")), said or str(file), table)


def _meter(file: Path, name: str, value: Any, tiers: Mapping[str, Meter]) -> Meter:
    if isinstance(value, str) and value in tiers:
        return tiers[value]
    if not _is_price(value):
        raise Misconfigured("read prices", str(file), f"{name} is {value!r}, which is no price", hint=HINT)
    return Meter(name, ((0, float(value)),))


def _tiered(file: Path, name: str, value: Any) -> Meter:
    """Read a row of tiers: pairs that begin at 0 and ascend."""
    pairs: Sequence[Any] = value if isinstance(value, list) else []
    right = bool(pairs) and all(isinstance(pair, list) and len(pair) == 2 and _is_price(pair[1]) for pair in pairs)  # noqa: PLR2004
    begins = [pair[0] for pair in pairs] if right else []
    if not right or any(type(begin) is not int for begin in begins) or begins[0] != 0 or sorted(set(begins)) != begins:
        cause = f"{_TIERS}.{name} is {value!r}, which are no tiers: pairs of transactions, ascending from 0, and a price"
        raise Misconfigured("read prices", str(file), cause, hint=HINT)
    return Meter(name, tuple((begin, float(price)) for begin, price in pairs))


def _is_price(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
