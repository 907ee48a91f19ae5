"""Every row of the table: what a status means for the caller, and what is said to the operator."""

from __future__ import annotations

import json

import pytest
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)

from jobs.errors import Misconfigured, StorageFailed, SweepError, Transient
from search.azure_index.errors import refusal, translated


def body(message: str) -> bytes:
    return json.dumps({"error": {"code": "", "message": message}}).encode()


@pytest.mark.parametrize(
    ("status", "said", "kind", "hint"),
    [
        (301, b"", Misconfigured, "address"),
        (400, body("The property 'x' does not exist on type 'search.documentFields'."), Misconfigured, "index rebuild"),
        (400, body("Could not find a property named 'x' on type 'search.document'."), Misconfigured, "index rebuild"),
        (400, body("'x' is not a filterable field"), Misconfigured, "index rebuild"),
        (400, body("Invalid expression"), Misconfigured, "docs/azure.md"),
        (401, b"", Misconfigured, "Search Index Data Contributor"),
        (403, b"<html>", Misconfigured, "Search Service Contributor"),
        (403, body("Index quota has been exceeded for this service."), StorageFailed, "scale"),
        (404, body("not found"), Misconfigured, "index create"),
        (408, b"", Transient, ""),
        (409, b"", Transient, ""),
        (429, b"", Transient, ""),
        (500, b"", Transient, ""),
        (502, b"<html>Bad gateway</html>", Transient, ""),
        (503, b"null", Transient, ""),
        (504, b"[]", Transient, ""),
        (505, b"", StorageFailed, ""),
    ],
)
def test_a_status_says_what_to_do(status: int, said: bytes, kind: type[SweepError], hint: str) -> None:
    error = refusal("publish", "https://s/i", status, {}, said)
    assert type(error) is kind
    assert hint in error.hint
    assert str(status) in error.cause
    assert str(error).startswith("publish https://s/i: ")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:05 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 5.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:28:05 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
    ],
)
def test_the_delay_is_what_the_service_asks(headers: dict[str, str], seconds: float | None) -> None:
    error = refusal("search", "i", 429, headers, b"")
    assert isinstance(error, Transient)
    assert error.retry_after == seconds
    assert error.throttled


@pytest.mark.parametrize(
    ("raised", "kind", "unknown"),
    [
        (ServiceRequestError("Connection reset by peer"), Transient, True),
        (ServiceResponseError("Connection reset"), Transient, True),
        (ServiceResponseTimeoutError("Timed out"), Transient, True),
        (IncompleteReadError("Half"), Transient, True),
        (DecodeError("JSON is invalid"), Transient, True),
        (ServiceRequestError("certificate verify failed"), Misconfigured, None),
        (ClientAuthenticationError("no token"), Misconfigured, None),
        (AzureError("odd"), StorageFailed, None),
    ],
)
def test_what_the_sdk_raises_becomes_ours(raised: Exception, kind: type[SweepError], unknown: bool | None) -> None:  # noqa: FBT001  # a column
    with pytest.raises(kind) as caught, translated("publish", "i"):
        raise raised
    assert caught.value.__cause__ is raised
    if isinstance(caught.value, Transient):
        assert caught.value.unknown is unknown


def test_what_it_does_not_know_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), translated("publish", "i"):
        raise ZeroDivisionError
