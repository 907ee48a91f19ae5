"""Actions in batches that the service takes, and every result read: a 207 is a success that holds failures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.errors import StorageFailed, Transient
from search.azure_index.errors import AGAIN, FULL, TOO_LARGE
from search.azure_index.service import Service

ACTIONS = 1000
"""The most actions of one batch."""

BYTES = 15_000_000
"""The most bytes of one batch, its last action apart; the service takes 16 MB."""

Actions = Mapping[str, bytes]
"""Actions as JSON by the key of their document."""

_SERVICE = 500


def batches(actions: Actions) -> Iterator[dict[str, bytes]]:
    """Split actions, in their order, by count and by bytes; what is too large for any batch comes alone."""
    batch: dict[str, bytes] = {}
    size = 0
    for key, action in actions.items():
        if batch and (len(batch) == ACTIONS or size + len(action) > BYTES):
            yield batch
            batch, size = {}, 0
        batch[key] = action
        size += len(action) + 1
    if batch:
        yield batch


async def send(service: Service, batch: Actions) -> dict[str, str | None]:
    """Send one batch, in halves where it is too large. Return what became of each document that need not be sent again.

    That is None, or the reason why the index will never take it. Raises StorageFailed when the index is full, Transient when the
    batch as a whole failed or a document met a fault of the service.
    """
    body = b'{"value":[' + b",".join(batch.values()) + b"]}"
    answer = await service.ask("publish", "POST", f"/indexes('{service.place.name}')/docs/search.index", body)
    if answer.status != TOO_LARGE:
        return _read(service, batch, service.accepted("publish", answer).get("value", []))
    if len(batch) == 1:
        return dict.fromkeys(batch, f"its document of {len(body):,} bytes is too large for the service")
    keys = list(batch)
    settled: dict[str, str | None] = {}
    for half in (keys[: len(keys) // 2], keys[len(keys) // 2 :]):
        settled |= await send(service, {key: batch[key] for key in half})
    return settled


def _read(service: Service, batch: Actions, results: Sequence[Mapping[str, Any]]) -> dict[str, str | None]:
    settled: dict[str, str | None] = {}
    for result in results:
        key, status = result["key"], result["statusCode"]
        if key not in batch or status in AGAIN:
            continue
        if result["status"]:
            settled[key] = None
            continue
        reason = f"status {status}, {result.get('errorMessage') or 'no reason given'}"
        if status == FULL:
            hint = "Scale the service up or delete documents, then run it again; what was published stays."
            raise StorageFailed("publish", str(service.place), f"the index takes no more documents: {reason}", hint=hint)
        if status >= _SERVICE:
            raise Transient("publish", str(service.place), f"document {key}: {reason}")
        settled[key] = reason
    return settled
