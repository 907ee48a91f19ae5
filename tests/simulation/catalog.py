"""What the shop calls its pictures: a taxonomy that is changed while jobs are at work, in some worlds.

It has dice of its own, so that the other worlds stay as they are.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from jobs.model import Outcome
from jobs.taxonomy import NO_TAXONOMY, Taxonomy, categories, parse
from tests.fakes.store import MemoryStore
from tests.simulation.invariants import demand, opened
from tests.simulation.shop import Shelf, Shop


def _taxonomy(version: int, category: str, confidence: float) -> Taxonomy:
    rule = f"{{category: {category}, any: [thing], confidence: {confidence}}}"
    return parse(f"name: shop\nversion: {version}\nrules:\n  - {rule}\n", "shop.yaml")


TAXONOMIES = (
    NO_TAXONOMY,
    _taxonomy(1, "things", 0.4),
    _taxonomy(2, "things", 0.4),
    _taxonomy(3, "stuff", 0.4),
    _taxonomy(4, "nothing", 0.6),
)
"""None, one, the same under another version, and two that say something else: all answers have the tag `thing`, of 0.5."""


class Catalog:
    """The taxonomy in use. A process goes by the one that was in use when it began."""

    def __init__(self, seed: int, hazards: Counter[str]) -> None:
        self._dice = random.Random(f"catalog {seed}")
        self._hazards = hazards
        self.fickle = self._dice.random() < 0.25
        self.taxonomy = self._dice.choice(TAXONOMIES) if self.fickle else NO_TAXONOMY

    async def live(self) -> None:
        """Change the taxonomy every few seconds, for as long as this is let."""
        while self.fickle:
            await asyncio.sleep(self._dice.expovariate(1 / 6))
            self.change()

    def change(self) -> None:
        """Take another taxonomy."""
        self.taxonomy = self._dice.choice([one for one in TAXONOMIES if one is not self.taxonomy])
        self._hazards["taxonomy changed"] += 1

    def is_followed(self, shop: Shop, store: MemoryStore, index: Shelf) -> None:
        """Whatever is settled has the categories of the taxonomy in use, in the store and, but for open pages, in the index."""
        waiting = opened(store)
        for record in store.records.values():
            if record.source != shop.key or record.outcome not in (Outcome.CLASSIFIED, Outcome.REUSED) or record.analysis is None:
                continue
            demand(record.derived == self.taxonomy.fingerprint, f"{record.name} has categories of {record.derived!r}")
            demand(record.categories == categories(self.taxonomy, record.analysis), f"{record.name} is of {record.categories}")
            document = index.documents.get(record.id)
            shows = document is not None and document.categories == record.categories
            demand(
                shows or record.unpublished is not None or record.id in waiting,
                f"the index does not show the categories of {record.name}",
            )
