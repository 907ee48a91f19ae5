"""What the errors of Cosmos DB mean for us, by status and by kind."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientConnectorError, ClientSSLError, ServerDisconnectedError
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosClientTimeoutError, CosmosHttpResponseError

from jobs.adapters.cosmos_errors import lost, translated
from jobs.errors import Misconfigured, StorageFailed, SweepError, Transient

PLACE: Any = SimpleNamespace(ssl=True, host="a", port=443)
"""Where a connection was to go, as far as errors print it."""


def said(status: int, *, sub_status: int | None = None, **headers: str) -> CosmosHttpResponseError:
    """Return the SDK's error for an answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if sub_status is not None:
        named["x-ms-substatus"] = str(sub_status)
    response: Any = SimpleNamespace(status_code=status, headers=named, reason="", content_type="", text=lambda: "")
    return CosmosHttpResponseError(message="Said the service.\r\nActivityId: 7", response=response)


def ours(error: AzureError, *, writes: bool = True) -> SweepError:
    with pytest.raises(SweepError) as caught, translated("write", "cat.jpg", writes=writes):
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        (said(401), Misconfigured, "IMAGESWEEP_COSMOS_KEY"),
        (said(403, sub_status=5300), Misconfigured, "Cosmos DB Built-in Data Contributor"),
        (said(403), Misconfigured, "firewall"),
        (said(403, sub_status=1014), StorageFailed, "20 GB"),
        (said(404, sub_status=1003), Misconfigured, "imagesweep index create"),
        (said(404), Misconfigured, "imagesweep index create"),
        (said(413), StorageFailed, "2 MB"),
        (ClientAuthenticationError("no credential"), Misconfigured, "az login"),
        (DecodeError("not JSON", response=SimpleNamespace(status_code=301, reason="")), Misconfigured, "documents.azure.com"),
    ],
)
def test_what_no_retry_helps_is_said_with_what_to_do(error: AzureError, kind: type[SweepError], hint: str) -> None:
    found = ours(error)
    assert type(found) is kind
    assert hint in found.hint
    assert str(found).startswith("write cat.jpg: ")


@pytest.mark.parametrize(
    ("error", "unknown"),
    [
        (said(408), True),
        (said(500), True),
        (said(503), True),
        (said(410), False),
        (said(449), False),
        (said(429), False),
        (said(403, sub_status=3), False),
        (said(404, sub_status=1002), False),
        (ServiceRequestError("no route", error=ClientConnectorError(PLACE, OSError("no route"))), False),
        (ServiceRequestError("hung up", error=ServerDisconnectedError()), True),
        (ServiceResponseError("reset"), True),
        (CosmosClientTimeoutError(), True),
        (DecodeError("cut short", response=SimpleNamespace(status_code=200, reason="")), True),
    ],
)
def test_what_passes_says_whether_the_write_may_have_happened(error: AzureError, *, unknown: bool) -> None:
    found = ours(error)
    assert isinstance(found, Transient)
    assert (found.unknown, found.throttled) == (unknown, "429" in found.cause)
    read = ours(error, writes=False)
    assert isinstance(read, Transient)
    assert not read.unknown


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"x_ms_retry_after_ms": "70"}, 0.07), ({"retry_after": "2"}, 2.0), ({}, None), ({"retry_after": "soon"}, None)],
)
def test_a_throttled_request_says_when_to_come_back(headers: dict[str, str], seconds: float | None) -> None:
    found = ours(said(429, **headers))
    assert isinstance(found, Transient)
    assert found.retry_after == seconds
    batch = ours(CosmosBatchOperationError(0, {name.replace("_", "-"): value for name, value in headers.items()}, 429, "slow"))
    assert isinstance(batch, Transient)
    assert batch.retry_after == seconds


def test_a_broken_certificate_is_not_passing() -> None:
    error = ServiceRequestError("no", error=ClientSSLError(PLACE, OSError("certificate has expired")))
    assert isinstance(ours(error), Misconfigured)


def test_only_the_first_line_of_what_was_said_is_kept() -> None:
    assert ours(said(500)).cause == "status 500: Said the service."


def test_what_is_not_known_passes_through() -> None:
    with pytest.raises(CosmosHttpResponseError), translated("write", "cat.jpg"):
        raise said(400)
    with pytest.raises(ZeroDivisionError), translated("write", "cat.jpg"):
        raise ZeroDivisionError


def test_losing_is_told_from_a_missing_container_and_a_lagging_replica() -> None:
    assert all(lost(said(status)) for status in (404, 409, 412))
    assert not any(map(lost, (said(404, sub_status=1003), said(404, sub_status=1002), said(400), said(429))))
