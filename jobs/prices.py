"""What paid calls cost: a table of prices for 1,000 transactions, ours or the operator's own."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.errors import Misconfigured

OURS = Path(__file__).with_name("prices.toml")
_UNIT = 1000


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices for 1,000 transactions, by service and feature, as the file at `path` says."""

    path: Path
    currency: str
    table: Mapping[str, Mapping[str, float]]

    def of(self, service: str, features: Iterable[str]) -> float:
        """Return the price of one call that asks for these features. Raises Misconfigured for one without a price."""
        known = self.table.get(service, {})
        asked = sorted(set(features))
        missing = [feature for feature in asked if feature not in known]
        if missing:
            cause = f"it has no price for {', '.join(missing)} under [{service}]"
            raise Misconfigured("read prices", str(self.path), cause, hint="Add it, for 1,000 transactions; 0 where it is free.")
        return math.fsum(known[feature] for feature in asked) / _UNIT


def load(path: Path | None = None) -> Prices:
    """Read a table of prices, ours when `path` is None. Raises Misconfigured for one that is missing or no such table."""
    file = path or OURS
    hint = "IMAGESWEEP_PRICES names a file in the form of jobs/prices.toml; leave it out for ours."
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Misconfigured("read prices", str(file), str(error), hint=hint) from error
    table = {service: dict(rows) for service, rows in content.items() if isinstance(rows, dict)}
    for service, rows in table.items():
        for feature, price in rows.items():
            if not _is_price(price):
                raise Misconfigured("read prices", str(file), f"{service}.{feature} is {price!r}, which is no price", hint=hint)
    return Prices(file, str(content.get("currency", "USD")), table)


def _is_price(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
