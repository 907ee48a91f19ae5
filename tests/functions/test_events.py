"""Events of Blob Storage, in both schemas, as the real runtime hands them to the app; tests/unit/test_event.py has the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from jobs import wiring
from jobs.app.desk import desk
from jobs.app.notices import Notice, read_notice
from jobs.errors import Misconfigured, Transient
from jobs.model import Outcome
from jobs.ports import Source
from jobs.settings import Settings
from tests.fakes.source import MemorySource
from tests.functions.conftest import Yard
from tests.functions.host import Failed

KEY = "azure-blob:https://photos.blob.core.windows.net/pics"
SUBJECT = "/blobServices/default/containers/pics/blobs/{}"


@pytest.fixture
def pics(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> MemorySource:
    """A container in memory, as the source of the deployment."""
    del yard
    source = MemorySource(lambda: datetime.now(UTC), key=KEY, prefix="")

    @asynccontextmanager
    async def opener(_: Settings, __: str) -> AsyncIterator[Source]:
        yield source

    monkeypatch.setitem(wiring.SOURCES, "azure-blob", opener)
    monkeypatch.setenv("IMAGESWEEP_SOURCE", KEY)
    return source


def event(name: str, *, deleted: bool = False, **changes: Any) -> dict[str, Any]:
    """Return an event as Event Grid sends it."""
    return {
        "topic": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/photos",
        "subject": SUBJECT.format(name),
        "eventType": f"Microsoft.Storage.Blob{'Deleted' if deleted else 'Created'}",
        "id": "831e1650-001e-001b-66ab-eeb76e069631",
        "data": {
            "api": "DeleteBlob" if deleted else "PutBlockList",
            "clientRequestId": "6d79dbfb-0e37-4fc4-981f-442c9ca65760",
            "requestId": "831e1650-001e-001b-66ab-eeb76e000000",
            "eTag": "0x8D4BCC2E4835CD0",
            "contentType": "image/jpeg",
            "contentLength": 524288,
            "blobType": "BlockBlob",
            "url": f"https://photos.blob.core.windows.net/pics/{name}",
            "sequencer": "00000000000004420000000000028963",
            "storageDiagnostics": {"batchId": "b68529f3-68cd-4744-baa4-3c0498ec19f0"},
        },
        "dataVersion": "",
        "metadataVersion": "1",
        "eventTime": "2026-06-26T18:41:00.9584103Z",
        **changes,
    }


def send(yard: Yard, one: Mapping[str, Any], *, function: str | None = None) -> None:
    kind = one.get("eventType") or one.get("type") or ""
    yard.run(yard.host.event(function or ("on_blob_deleted" if "Deleted" in kind else "on_blob_created"), one))


def outcomes(yard: Yard) -> dict[str, Outcome | None]:
    async def look() -> dict[str, Outcome | None]:
        return {one.name: one.outcome async for batch in (await desk().store()).scan(KEY) for one in batch}

    return yard.run(look())


def test_written_overwritten_and_deleted_blobs_are_settled_at_once(yard: Yard, pics: MemorySource) -> None:
    pics.put("cats/a.jpg", b"one")
    send(yard, event("cats/a.jpg"))
    assert (outcomes(yard), yard.found()) == ({"cats/a.jpg": Outcome.CLASSIFIED}, 1)
    pics.put("cats/a.jpg", b"two")
    send(yard, event("cats/a.jpg"))
    assert yard.till.calls == 2
    pics.delete("cats/a.jpg")
    send(yard, event("cats/a.jpg", deleted=True))
    assert (outcomes(yard), yard.found()) == ({"cats/a.jpg": Outcome.GONE}, 0)


def test_events_out_of_order_and_twice_leave_what_is_there(yard: Yard, pics: MemorySource) -> None:
    send(yard, event("a.jpg", deleted=True))
    assert outcomes(yard) == {}
    pics.put("a.jpg", b"newer")
    for deleted in (False, True, False, True):
        send(yard, event("a.jpg", deleted=deleted))
    assert outcomes(yard) == {"a.jpg": Outcome.CLASSIFIED}
    assert (yard.till.calls, yard.found()) == (1, 1)


@pytest.mark.parametrize(
    "name", ["a b.jpg", "50% off.jpg", "a%20b.jpg", "été/日本.jpg", "a#b?c=d&e.jpg", "blobs/containers/x/blobs/y.jpg", "a\nb.jpg"]
)
def test_names_are_those_of_the_subject_whatever_is_in_them(yard: Yard, pics: MemorySource, name: str) -> None:
    pics.put(name, b"one")
    send(yard, event(name))
    assert outcomes(yard) == {name: Outcome.CLASSIFIED}


def test_the_schema_of_cloud_events_is_read_as_well(yard: Yard, pics: MemorySource) -> None:
    pics.put("a.jpg", b"one")
    old = event("a.jpg")
    send(
        yard,
        {
            "specversion": "1.0",
            "type": old["eventType"],
            "source": old["topic"],
            "id": old["id"],
            "time": old["eventTime"],
            "subject": old["subject"],
            "data": old["data"],
        },
    )
    assert outcomes(yard) == {"a.jpg": Outcome.CLASSIFIED}


OTHERS = {
    "another type": {"eventType": "Microsoft.Storage.BlobTierChanged"},
    "a rename": {"eventType": "Microsoft.Storage.BlobRenamed"},
    "another container": {"subject": "/blobServices/default/containers/other/blobs/a.jpg"},
    "a container of another case": {"subject": "/blobServices/default/containers/Pics/blobs/a.jpg"},
    "another account": {"data": {"url": "https://others.blob.core.windows.net/pics/a.jpg"}},
    "a validation": {"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "subject": "", "data": {}},
}


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
def test_what_is_not_about_our_blobs_is_taken_and_left(yard: Yard, pics: MemorySource, changes: dict[str, Any]) -> None:
    pics.put("a.jpg", b"one")
    send(yard, event("a.jpg", **changes), function="on_blob_created")
    assert (outcomes(yard), yard.till.calls) == ({}, 0)


@pytest.mark.parametrize(
    "changes", [{"subject": ""}, {"subject": None}, {"data": {}}, {"data": None}, {"subject": "/blobServices"}]
)
def test_what_is_no_event_of_blob_storage_fails_where_it_can_be_seen(
    yard: Yard, pics: MemorySource, changes: dict[str, Any]
) -> None:
    pics.put("a.jpg", b"one")
    with pytest.raises(Failed, match="without a blob's subject and address"):
        send(yard, event("a.jpg", **changes), function="on_blob_created")
    assert outcomes(yard) == {}


@pytest.mark.parametrize("error", [Transient("classify", "", "it is away"), Misconfigured("classify", "", "the key is wrong")])
def test_what_is_to_be_delivered_again_fails_the_call(
    yard: Yard, pics: MemorySource, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    pics.put("a.jpg", b"one")
    with monkeypatch.context() as patched:
        if isinstance(error, Misconfigured):
            patched.setattr(yard.till, "error", error)
        else:
            patched.setattr(pics, "head", _raising(error))
        with pytest.raises(Failed, match=str(error.args[2])):
            send(yard, event("a.jpg"))
    assert outcomes(yard) != {"a.jpg": Outcome.DEAD}
    send(yard, event("a.jpg"))
    assert outcomes(yard) == {"a.jpg": Outcome.CLASSIFIED}


def _raising(error: Exception) -> Any:
    async def head(_: str) -> None:
        raise error

    return head


def test_globs_hold_for_events_as_for_sweeps(yard: Yard, pics: MemorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESWEEP_EXCLUDE", "thumbs/**")
    pics.put("thumbs/a.jpg", b"one")
    send(yard, event("thumbs/a.jpg"))
    assert outcomes(yard) == {}


def test_a_blob_below_another_prefix_is_no_business_of_this_source(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESWEEP_SOURCE", f"{KEY}/mine/")
    send(yard, event("yours/a.jpg"))
    assert yard.till.calls == 0


def test_a_data_lake_tells_of_the_same_account() -> None:
    one = event("a.jpg")
    data = {**one["data"], "url": "https://photos.dfs.core.windows.net/pics/a.jpg"}
    assert read_notice(one["eventType"], one["subject"], data) == Notice("photos", "pics", "a.jpg")
    emulated = {"url": "http://127.0.0.1:10000/photos/pics/a.jpg"}
    assert read_notice(one["eventType"], one["subject"], emulated) == replace(Notice("photos", "pics", ""), name="a.jpg")
