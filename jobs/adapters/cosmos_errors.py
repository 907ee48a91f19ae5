"""The errors of Azure Cosmos DB and its SDK, as ours: the one place that knows their status codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from socket import EAI_NONAME

from aiohttp import ClientConnectorDNSError, ClientConnectorError, ClientSSLError
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosClientTimeoutError, CosmosHttpResponseError

from jobs.errors import Misconfigured, StorageFailed, SweepError, Transient

CREATE = "Run imagesweep index create first"
LOST = frozenset({404, 409, 412})
"""What a conditional write is answered with when the item is gone, is there already, or is at another version."""

_KEY = "Check IMAGESWEEP_COSMOS_KEY; without it, sign in (az login) or give this machine an identity"
_ROLE = (
    "Give this identity the data-plane role Cosmos DB Built-in Data Contributor on the account (az cosmosdb sql role assignment "
    "create); the roles of the portal's access page do not count. If it has it, the account's firewall keeps this machine out"
)
_FULL = "One of the 256 partitions of this database holds its 20 GB: use another database for further sources"
_ENDPOINT = "Check the address in IMAGESWEEP_STORE: https://ACCOUNT.documents.azure.com/DATABASE"

_NO_OWNER = 1003
_STALE_SESSION = 1002
_PASSING_FORBIDDEN = frozenset({3, 1008})
"""Writes are moving to another region; the account is not known in this one yet."""
_PARTITION_FULL = 1014
_UNSURE = frozenset({408, 500, 502, 503, 504})
"""The service may have done what it was asked to."""
_ELSEWHERE = frozenset({301, 302, 303, 307, 308})
_NOT_DONE = frozenset({404, 410, 449})


@contextmanager
def translated(operation: str, key: str, *, writes: bool = False) -> Iterator[None]:
    """Turn the SDK's errors into ours; `writes` says that an effect may be there although the answer was lost.

    Losers (`lost`) are for the caller to catch within; what is not known passes through.
    """
    try:
        yield
    except AzureError as error:
        ours = _translate(operation, key, error, writes=writes)
        if ours is None:
            raise
        raise ours from error


def redirect(operation: str, key: str, status: int) -> Misconfigured | None:
    """Return the error that a redirection stands for, None for another status. The SDK takes one for a success, if it is JSON."""
    if status in _ELSEWHERE:
        return Misconfigured(operation, key, f"it redirects (status {status})", hint=_ENDPOINT)
    return None


def lost(error: HttpResponseError) -> bool:
    """Say whether a conditional write was refused because of the item's version, and not because its container is missing."""
    sub_status = getattr(error, "sub_status", None)
    return error.status_code in LOST and sub_status not in (_NO_OWNER, _STALE_SESSION)


def _translate(operation: str, key: str, error: AzureError, *, writes: bool) -> SweepError | None:
    cause = _first_line(error)
    match error:
        case ClientAuthenticationError():
            ours: SweepError | None = Misconfigured(operation, key, f"no identity could be had: {cause.rstrip('.')}", hint=_KEY)
        case CosmosHttpResponseError() | CosmosBatchOperationError():
            ours = _of_status(operation, key, error, writes=writes)
        case DecodeError():
            ours = _undecodable(operation, key, error, writes=writes)
        case _ if isinstance(error.inner_exception, ClientSSLError):
            ours = Misconfigured(operation, key, cause, hint=f"The connection is not secure. {_ENDPOINT}")
        case _ if _unknown(error.inner_exception):
            ours = Misconfigured(operation, key, cause, hint=f"There is no such host. {_ENDPOINT}")
        case ServiceRequestError() if isinstance(error.inner_exception, ClientConnectorError):
            ours = Transient(operation, key, cause, hint=f"It cannot be reached. {_ENDPOINT}")
        case ServiceRequestError() | ServiceResponseError() | CosmosClientTimeoutError():
            # The SDK calls a server that hangs up a request that was not sent; it may well have been.
            ours = Transient(operation, key, cause, unknown=writes)
        case _:
            ours = None
    return ours


def _unknown(cause: BaseException | None) -> bool:
    """Say whether the name servers know that there is no such host; that they cannot be asked may pass."""
    return isinstance(cause, ClientConnectorDNSError) and getattr(cause.os_error, "errno", None) == EAI_NONAME


def _of_status(
    operation: str, key: str, error: CosmosHttpResponseError | CosmosBatchOperationError, *, writes: bool
) -> SweepError | None:
    status, cause = error.status_code or 0, f"status {error.status_code}: {_first_line(error)}"
    ours: SweepError | None = None
    match status:
        case 401:
            ours = Misconfigured(operation, key, cause, hint=_KEY)
        case 403:
            ours = _forbidden(operation, key, error, cause)
        case 404 if error.sub_status != _STALE_SESSION:
            ours = Misconfigured(operation, key, "the database or its container is not there", hint=CREATE)
        case 413:
            ours = StorageFailed(operation, key, cause, hint="An item may have 2 MB; leave this image out with IMAGESWEEP_EXCLUDE")
        case 429:
            ours = Transient(operation, key, cause, retry_after=_retry_after(error.headers or {}), throttled=True)
        case _ if status in _NOT_DONE or status in _UNSURE:
            ours = Transient(operation, key, cause, unknown=writes and status in _UNSURE)
    return ours


def _forbidden(operation: str, key: str, error: CosmosHttpResponseError | CosmosBatchOperationError, cause: str) -> SweepError:
    if error.sub_status in _PASSING_FORBIDDEN:
        return Transient(operation, key, cause)
    if error.sub_status == _PARTITION_FULL:
        return StorageFailed(operation, key, cause, hint=_FULL)
    return Misconfigured(operation, key, cause, hint=_ROLE)


def _undecodable(operation: str, key: str, error: DecodeError, *, writes: bool) -> SweepError:
    status = (error.response.status_code if error.response is not None else 0) or 0
    return redirect(operation, key, status) or Transient(operation, key, _first_line(error), unknown=writes)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the service asks for: milliseconds in its own header, seconds in the common one."""
    for name, unit in (("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "")
        if value.replace(".", "", 1).isdigit():
            return float(value) * unit
    return None


def _first_line(error: AzureError) -> str:
    """Return what the service said, without the status and the request's diagnostics around it."""
    text = str(getattr(error, "http_error_message", None) or error)
    return text.strip().splitlines()[0][:300] if text.strip() else type(error).__name__
