"""A blob that is gone lets go of nothing: the hash in its record is that of bytes which another image may be paid for."""

from __future__ import annotations

import asyncio

from jobs.errors import Gone
from jobs.model import Blob
from tests.unit.shop_kit import Till, Watched, opened


class Slow(Watched):
    """A source where, in the end, `a.jpg` is gone behind the listing and `c.jpg` takes its time."""

    late = False

    async def read(self, blob: Blob, *, limit: int | None = None) -> bytes:
        if self.late and blob.name == "a.jpg":
            raise Gone("read", blob.name, "it was deleted")
        if self.late and blob.name == "c.jpg":
            await asyncio.sleep(0.6)
        return await super().read(blob, limit=limit)


def test_identical_bytes_in_flight_are_paid_once_though_a_blob_that_had_them_is_gone() -> None:
    with opened() as shop:
        shop.source = source = Slow(shop.loop.now, page=10)
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            source.put(name, b"the same")
        assert shop.sweep().calls == 1
        source.late = True
        report = shop.sweep(till=Till("fake:2"))
        assert (report.gone, report.classified, report.reused, report.calls) == (1, 1, 1, 1)
