"""What Blob Storage and the SDK's pipeline say, as errors of ours: the one place that knows status and error codes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ServiceRequestError

from jobs.errors import Changed, Gone, Misconfigured, Rejected, SweepError, Transient

ARCHIVED = "archived"
_REHYDRATION = 6 * 3600.0
"""Seconds until a look at an archived blob makes sense: longer than anyone retries in place."""

_ROLE = "Give this identity the role Storage Blob Data Reader on the account or the container; it takes some minutes to apply."
_DELEGATOR = "Give this identity the roles Storage Blob Data Reader and Storage Blob Delegator on the account."
_SETTING = "Look at IMAGESWEEP_SOURCE."
_WRONG: Mapping[str, str] = {
    "AuthenticationFailed": "Is IMAGESWEEP_BLOB_KEY the key of this account, and the clock of this machine right?",
    "AuthorizationPermissionMismatch": _ROLE,
    "InsufficientAccountPermissions": _ROLE,
    "AuthorizationFailure": f"{_ROLE} Or its firewall keeps this network out, or IMAGESWEEP_BLOB_KEY is no key of it.",
    "KeyBasedAuthenticationNotPermitted": "The account takes no keys: leave IMAGESWEEP_BLOB_KEY empty, and use an identity.",
    "NoAuthenticationInformation": "The request carried no identity: run `az login`, or give the app a managed identity.",
    "InvalidAuthenticationInfo": "Is the identity of the tenant that the account belongs to?",
    "PublicAccessNotPermitted": "The request carried no identity: run `az login`, or give the app a managed identity.",
    "AccountIsDisabled": "The storage account is disabled; it may be its subscription.",
    "ContainerNotFound": f"There is no such container. {_SETTING}",
    "ContainerBeingDeleted": f"The container is being deleted. {_SETTING}",
    "ContainerDisabled": "The container was disabled by its administrator.",
    "FeatureNotYetSupportedForHierarchicalNamespaceAccounts": "Leave IMAGESWEEP_BLOB_TAGS off: this account has no index tags.",
}
_GONE = frozenset({"BlobNotFound", "ResourceNotFound", "PathNotFound"})
_ASLEEP: Mapping[str, str] = {
    "BlobArchived": "it is in the archive tier",
    "BlobBeingRehydrated": "it is being rehydrated from the archive tier",
}
_NAMES = frozenset({"InvalidUri", "InvalidResourceName", "OutOfRangeInput", "ResourceTypeMismatch"})
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS})
_OTHER_VERSION = frozenset({HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})
_FORBIDDEN = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_CODE = re.compile(r"[A-Za-z]{1,80}")


def fault(operation: str, key: str, status: int, headers: Mapping[str, str], *, proven: bool) -> SweepError:
    """Return what it means that a request was answered so. `key` is a blob's name, or the source's own key.

    `proven` says that the same identity was served before: what is refused now is refused for this one blob.
    """
    code = _code(headers)
    cause = f"status {status}, {code}" if code else f"status {status}"
    found = _of_the_blob(operation, key, status, code, cause=cause, proven=proven)
    if found is not None:
        return found
    if code in _WRONG:
        hint = _DELEGATOR if operation == "sign" and _WRONG[code].startswith(_ROLE) else _WRONG[code]
        return Misconfigured(operation, key, cause, hint=hint)
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Transient(operation, key, cause, retry_after=wait_asked(headers), throttled=status in _BUSY)
    return Misconfigured(operation, key, cause, hint=_hint(status))


def _of_the_blob(operation: str, key: str, status: int, code: str, *, cause: str, proven: bool) -> SweepError | None:
    """Return what the answer says of this one blob, None when it is about more than that."""
    if status in _OTHER_VERSION:
        return Changed(operation, key, "it is another version than the one listed")
    if code in _GONE:
        return Gone(operation, key, "it is not there")
    if code in _ASLEEP:
        return Transient(operation, key, _ASLEEP[code], retry_after=_REHYDRATION, failure_class=ARCHIVED)
    if code == "AuthorizationPermissionMismatch" and proven and operation != "list":
        return Transient(operation, key, cause, hint=_ROLE, failure_class="forbidden")
    if code in _NAMES and operation in ("read", "head"):
        return Rejected(operation, key, f"its name is no legal address: {cause}", failure_class="name")
    return None


def _hint(status: int) -> str:
    if status in _FORBIDDEN:
        return _ROLE
    if status < HTTPStatus.BAD_REQUEST:
        return f"It redirects elsewhere: the source must be named by the address that answers itself. {_SETTING}"
    # The service names a code with every 404: without one something else answered, and nothing is deleted on its word.
    return f"This does not answer as Blob Storage does. {_SETTING}" if status == HTTPStatus.NOT_FOUND else _SETTING


@contextmanager
def translated(operation: str, key: str, *, proven: bool) -> Iterator[None]:
    """Turn what the SDK's pipeline and the connection raise into our errors. What a response says, `fault` tells.

    `proven` says that the service has answered this client before: then names, certificates and identity were right, and the
    fault passes.
    """
    try:
        yield
    except TimeoutError as error:
        raise Transient(operation, key, "no answer in time") from error
    except ClientAuthenticationError as error:
        if proven:
            raise Transient(operation, key, "no token could be had") from error
        cause = "the key is not base64" if "Signing" in type(error).__name__ else "no identity could be had"
        hint = "Run `az login`, give the app a managed identity, or set IMAGESWEEP_BLOB_KEY."
        raise Misconfigured(operation, key, cause, hint=hint) from error
    except ServiceRequestError as error:
        raise _connection(operation, key, error, proven=proven) from error
    except HttpResponseError as error:  # the body broke off
        raise Transient(operation, key, "the answer broke off") from error
    except AzureError as error:
        raise Transient(operation, key, f"the connection failed: {type(error.inner_exception or error).__name__}") from error


@contextmanager
def refused(operation: str, key: str) -> Iterator[None]:
    """Turn an error response that the SDK raises by itself into ours: `fault` for the SDK's own operations."""
    try:
        yield
    except HttpResponseError as error:
        if error.status_code is None:
            raise
        headers: Mapping[str, str] = getattr(error.response, "headers", {})
        raise fault(operation, key, error.status_code, headers, proven=False) from error


def _connection(operation: str, key: str, error: AzureError, *, proven: bool) -> SweepError:
    inner = error.inner_exception
    if not proven and isinstance(inner, aiohttp.ClientConnectorDNSError):
        return Misconfigured(operation, key, "its host name is not known", hint=f"Is there such an account? {_SETTING}")
    if not proven and isinstance(inner, aiohttp.ClientSSLError):
        hint = "Its certificate is not trusted here, or it does not speak TLS: is something in between?"
        return Misconfigured(operation, key, "no trusted connection", hint=hint)
    return Transient(operation, key, f"no connection: {type(inner or error).__name__}")


def wait_asked(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the service asks to wait, by Retry-After in seconds or as a date; None when it asks nothing."""
    asked = headers.get("Retry-After")
    if asked is None:
        return None
    try:
        return max(0.0, float(asked))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(asked)
    except ValueError:
        return None
    return max(0.0, (until - datetime.now(UTC)).total_seconds()) if until.tzinfo else None


def _code(headers: Mapping[str, str]) -> str:
    """Return the service's error code, an empty text when there is none; anything else in its place is not repeated."""
    code = headers.get("x-ms-error-code", "")
    return code if _CODE.fullmatch(code) else ""
