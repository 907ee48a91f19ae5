"""What the service and the SDK say went wrong, as errors that say what to do: the one place that knows status codes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from socket import EAI_NONAME

from aiohttp import ClientConnectorDNSError, ClientSSLError
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)

from jobs.errors import Misconfigured, StorageFailed, SweepError, Transient

TOO_LARGE = 413
MISSING = 404
FORBIDDEN = (401, 403)
AGAIN = frozenset({409, 422, 503})
"""What a document may meet and be sent again. A document's 429 says that the index is full: sending it again cannot help."""
FULL = 429

_PASSING = frozenset({408, 409, 500, 502, 503, 504})
_THROTTLED = frozenset({429, 503})
_SCHEMA = re.compile(
    r"does not exist on type|Cannot find nested property|Could not find a property named|not a (?:\w+able|vector) field"
    r"|expects a length of|dimension",
    re.IGNORECASE,
)
_SHOWN = 300
REBUILD = "Run `imagesweep index rebuild`: it costs no call."
_IDENTITY = "Run `az login`, give the app a managed identity, or set IMAGESWEEP_SEARCH_KEY."
_ADDRESS = "Look at IMAGESWEEP_INDEX."
_ROLES = (
    "Give the identity the roles Search Index Data Contributor (documents) and Search Service Contributor (`imagesweep index`),"
    " let the service accept roles as well as keys, or set IMAGESWEEP_SEARCH_KEY; a firewall of the service answers the same."
)


def refusal(operation: str, key: str, status: int, headers: Mapping[str, str], body: bytes) -> SweepError:
    """Return the error that a status code stands for; `key` says where."""
    cause = f"status {status}{said(body)}"
    if status in FORBIDDEN:
        return _forbidden(operation, key, cause)
    if status == MISSING:
        return Misconfigured(operation, key, cause, hint="Run `imagesweep index create`, or see whether the name is right.")
    if status in _PASSING or status == FULL:
        throttled = status in _THROTTLED
        return Transient(operation, key, cause, retry_after=_delay(headers), throttled=throttled, unknown=not throttled)
    if status >= 500:  # noqa: PLR2004  # the service's fault, and none that passes
        return StorageFailed(operation, key, cause)
    if status < 400:  # noqa: PLR2004  # redirections
        return Misconfigured(operation, key, f"{cause}: it redirects", hint="Set the service's own address.")
    return _unasked(operation, key, cause)


@contextmanager
def translated(operation: str, key: str) -> Iterator[None]:
    """Turn what the SDK raises while a request is under way into our errors; statuses are read by `refusal`."""
    try:
        yield
    except ClientAuthenticationError as error:
        cause = f"no identity could be had: {_first(error).split('. ')[0]}"
        raise Misconfigured(operation, key, cause, hint=_IDENTITY) from error
    except ServiceRequestError as error:
        raise _unsent(operation, key, error) from error
    except (ServiceResponseError, IncompleteReadError) as error:
        raise Transient(operation, key, f"no answer: {_first(error)}", unknown=True) from error
    except HttpResponseError as error:
        raise Transient(operation, key, f"no answer that can be read: {_first(error)}", unknown=True) from error
    except AzureError as error:
        raise StorageFailed(operation, key, _first(error)) from error


def said(body: bytes) -> str:
    """Return what an error body says, in short, with what precedes it: nothing where it says nothing."""
    try:
        error = json.loads(body)["error"]
        text = f"{error.get('code') or ''} {error.get('message') or ''}"
    except (ValueError, TypeError, KeyError, AttributeError):
        text = body[:_SHOWN].decode(errors="replace")
    text = " ".join(text.split())[:_SHOWN].rstrip(".")
    return f", {text}" if text else ""


def _unasked(operation: str, key: str, cause: str) -> SweepError:
    """Return the error for a request that the service does not understand: mostly, because its index is another one."""
    if _SCHEMA.search(cause):
        return Misconfigured(operation, key, f"{cause}: this is an index with another schema", hint=REBUILD)
    return Misconfigured(operation, key, cause, hint="The service does not take this request; see docs/azure.md.")


def _forbidden(operation: str, key: str, cause: str) -> SweepError:
    if "quota" in cause.lower():
        return StorageFailed(operation, key, cause, hint="Delete what is not needed, or scale the service up.")
    return Misconfigured(operation, key, cause, hint=_ROLES)


def _unsent(operation: str, key: str, error: ServiceRequestError) -> SweepError:
    cause, inner = _first(error), error.inner_exception
    if "non-TLS" in cause:
        return Misconfigured(operation, key, cause, hint="An identity needs https; set IMAGESWEEP_SEARCH_KEY for http.")
    if isinstance(inner, ClientSSLError) or "certificate" in cause.lower():
        hint = f"It does not speak TLS, or its certificate is not trusted: does a proxy stand in between? {_ADDRESS}"
        return Misconfigured(operation, key, cause, hint=hint)
    if isinstance(inner, ClientConnectorDNSError) and getattr(inner.os_error, "errno", None) == EAI_NONAME:
        return Misconfigured(operation, key, cause, hint=f"There is no such host. {_ADDRESS}")
    hint = "See whether the address is right and can be reached from here."
    return Transient(operation, key, cause, hint=hint, unknown=True)  # the SDK raises the same for a reset after sending


def _first(error: Exception) -> str:
    return " ".join(str(error).split())[:_SHOWN].rstrip(".") or type(error).__name__


def _delay(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the service asks to wait: a number, or a date by its own clock."""
    for name, unit in (("x-ms-retry-after-ms", 1000), ("retry-after-ms", 1000), ("retry-after", 1)):
        value = headers.get(name)
        if value is not None and re.fullmatch(r"\d+(\.\d+)?", value.strip()):
            return float(value) / unit
    try:
        until = parsedate_to_datetime(headers["retry-after"])
        now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
    except (KeyError, ValueError, TypeError):
        return None
    return max((until - now).total_seconds(), 0.0)
