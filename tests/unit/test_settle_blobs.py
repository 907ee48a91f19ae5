"""What a storage service says of a blob, and what settle makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jobs.errors import Transient
from jobs.model import Blob, Outcome
from jobs.sniff import promises_image
from tests.unit.audit_kit import Shop, virtually


@pytest.mark.parametrize(
    ("name", "content_type", "promised"),
    [
        ("a.jpg", None, True),
        ("a.jpg", "text/plain", True),
        ("a", "image/png", True),
        ("a", "IMAGE/JPEG; q=1", True),
        ("a.svg", "image/svg+xml", False),
        ("a", "application/octet-stream", False),
        ("a", None, False),
    ],
)
def test_an_image_is_promised_by_its_name_or_its_type(name: str, content_type: str | None, promised: bool) -> None:  # noqa: FBT001
    assert promises_image(name, content_type) is promised


@virtually
async def test_what_is_typed_as_an_image_is_read_once(shop: Shop) -> None:
    shop.put("typed", "untyped")
    blob, data = shop.source.blobs["typed"]
    shop.source.blobs["typed"] = (replace(blob, content_type="image/jpeg"), data)
    reads: list[tuple[str, int | None]] = []
    read = shop.source.read

    async def counted(blob: Blob, *, limit: int | None = None) -> bytes:
        reads.append((blob.name, limit))
        return await read(blob, limit=limit)

    shop.source.read = counted  # type: ignore[method-assign]
    await shop.sweep()
    assert shop.record("typed").outcome is Outcome.CLASSIFIED
    assert reads == [("untyped", 64), ("typed", None)]


@virtually
async def test_what_was_archived_behind_the_listing_waits_and_is_no_fault_of_the_image(shop: Shop) -> None:
    shop.put("a.jpg", "b.jpg")
    read = shop.source.read

    async def asleep(blob: Blob, *, limit: int | None = None) -> bytes:
        if blob.name == "b.jpg":
            raise Transient("read", blob.name, "it is in the archive tier", retry_after=21_600, failure_class="archived")
        return await read(blob, limit=limit)

    shop.source.read = asleep  # type: ignore[method-assign]
    for _ in range(8):
        await shop.sweep()
        failure = shop.record("b.jpg").failure
        assert shop.record("b.jpg").outcome is Outcome.DEFERRED
        assert failure is not None
        assert (failure.failure_class, failure.attempts) == ("archived", 0)
        assert failure.next_try is not None
        assert failure.next_try - shop.loop.now() > timedelta(hours=1)
        shop.loop.moment += 7 * 3600
        shop.put(f"{_}.jpg")
