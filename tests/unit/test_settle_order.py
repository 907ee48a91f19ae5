"""A page is settled in the order of ids, so that what is stored together shares partitions of the store."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.model import Record
from tests.unit.shop_kit import Watched, opened


def test_results_are_stored_in_the_order_of_ids() -> None:
    with opened() as shop:
        shop.source = Watched(shop.loop.now, page=40)
        shop.fill(40)
        stored: list[str] = []
        write = shop.store.write

        async def watched(records: Sequence[Record]) -> Sequence[Record | None]:
            stored.extend(record.id for record in records if record.claim is None)
            return await write(records)

        shop.store.write = watched  # type: ignore[method-assign]
        assert shop.sweep().classified == 40
        assert stored == sorted(stored)
        assert len(stored) == 40
