"""What AI Vision and the way to it can refuse, and what each refusal means for the image and for the run."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
)
from pydantic_core import from_json

from jobs.errors import Misconfigured, Refused, Rejected, SweepError, Transient

ENDPOINT_HINT: Final = "The setting reads azure-vision:https://RESOURCE.cognitiveservices.azure.com."
ROLE_HINT: Final = "Give this identity the role Cognitive Services User on the resource, or set IMAGESWEEP_VISION_KEY."
CAPTIONS_HINT: Final = (
    "Take caption and denseCaptions out of IMAGESWEEP_VISION_FEATURES, or use a resource in East US, West US, France Central, "
    "North Europe, West Europe, Southeast Asia, East Asia or Korea Central."
)
UNREADABLE_URL: Final = "url"
"""Failure class of a link that the service could not read; the bytes may still be sent."""

_DELAY: Final = re.compile(r"(?:retry after|try again in) (\d+(?:\.\d+)?) ?seconds?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """A refusal as it came: `code` and `inner` as in its body, lower case, empty where it has none; `delay` in seconds."""

    status: int
    code: str
    inner: str
    message: str
    delay: float | None = None
    location: str = ""

    @property
    def said(self) -> str:
        """All that it says, in lower case, to look for words in."""
        return f"{self.code} {self.inner} {self.message}".lower()

    @property
    def brief(self) -> str:
        """Status and message in one line."""
        return f"status {self.status}: {self.message}" if self.message else f"status {self.status}"


@contextmanager
def translated(operation: str, key: str) -> Iterator[None]:
    """Turn what the SDK raises inside into errors of ours; `key` is the image, or the resource where there is none."""
    try:
        yield
    except IncompleteReadError as error:
        raise _lost(operation, key, "the answer was cut off") from error
    except HttpResponseError as error:
        raise _http(operation, key, error) from error
    except ServiceRequestError as error:
        raise _unreached(operation, key, error) from error
    except AzureError as error:
        raise _lost(operation, key, _brief(error)) from error


def refusal(answer: Answer, operation: str, key: str) -> SweepError:
    """Return the error that an answer other than 200 stands for."""
    if answer.status == 400:  # noqa: PLR2004
        return _bad_request(answer, operation, key)
    meaning = _MEANINGS.get(answer.status)
    if meaning is not None:
        return meaning(answer, operation, key)
    if 300 <= answer.status < 400:  # noqa: PLR2004
        where = f" to {answer.location}" if answer.location else ""
        return Misconfigured(operation, key, f"the endpoint redirects{where}", hint=ENDPOINT_HINT)
    if answer.status >= 500:  # noqa: PLR2004
        return Transient(operation, key, answer.brief, retry_after=answer.delay)
    return _doubtful(answer, operation, key)


def read_answer(
    status: int, headers: Mapping[str, str], body: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Answer:
    """Read a refusal, lenient about its form: gateways answer with forms of their own, or with a page of HTML."""
    fields = {name.lower(): value for name, value in headers.items()}
    code, inner, message = _body(body)
    delay = _header_delay(fields, now)
    if delay is None and (match := _DELAY.search(message)):
        delay = float(match[1])
    return Answer(status, code or fields.get("x-ms-error-code", ""), inner, message[:500], delay, fields.get("location", ""))


def _body(text: str) -> tuple[str, str, str]:
    """Return code, innermost code and message of a body, empty where it has none."""
    try:
        content = from_json(text)
    except ValueError:
        return "", "", " ".join(re.sub(r"<[^>]*>", " ", text).split())[:200]
    error = content.get("error", content) if isinstance(content, dict) else {}
    if not isinstance(error, dict):
        return "", "", str(error)
    inner: Any = error.get("innererror")
    inmost, message = "", str(error.get("message") or "")
    while isinstance(inner, dict):
        inmost = str(inner.get("code") or inmost)
        message = message or str(inner.get("message") or "")
        inner = inner.get("innererror")
    return str(error.get("code") or ""), inmost, " ".join(message.split())


def _header_delay(headers: Mapping[str, str], now: Callable[[], datetime]) -> float | None:
    """Return the seconds that Retry-After asks for, given in seconds or as a date, which is by the service's own clock."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        today = parsedate_to_datetime(headers["date"]) if "date" in headers else now()
        return max((until - today).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _http(operation: str, key: str, error: HttpResponseError) -> SweepError:
    response: Any = error.response
    if response is None:
        if isinstance(error, ClientAuthenticationError):
            hint = "Run `az login`, give the app a managed identity, or set IMAGESWEEP_VISION_KEY."
            return Misconfigured(operation, key, f"no identity could be had: {_first_line(error)}", hint=hint)
        return _lost(operation, key, _brief(error))
    return refusal(read_answer(response.status_code, response.headers, response.text()), operation, key)


def _unreached(operation: str, key: str, error: ServiceRequestError) -> SweepError:
    """Tell what never left from what may have arrived: the transport calls both a request error."""
    cause = error.inner_exception
    if isinstance(error, ServiceRequestTimeoutError):
        return Transient(operation, key, "no connection in time", failure_class="unreachable")
    wrong = _misdirected(cause)
    if wrong is not None:
        return Misconfigured(operation, key, wrong[0], hint=wrong[1])
    if isinstance(cause, aiohttp.ClientConnectorError):
        return Transient(operation, key, f"no connection: {_brief(cause)}", failure_class="unreachable")
    if isinstance(cause, aiohttp.ClientError):
        return _lost(operation, key, f"the connection broke: {_brief(cause)}")
    return Misconfigured(operation, key, _brief(error), hint=ENDPOINT_HINT)


def _misdirected(cause: BaseException | None) -> tuple[str, str] | None:
    """Return cause and hint when the endpoint itself is wrong, None when the fault may pass."""
    match cause:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            hint = "Mend the certificate, or the proxy that puts its own in the way."
            return f"the endpoint's TLS cannot be trusted: {_brief(cause)}", hint
        case aiohttp.ClientConnectorDNSError(os_error=socket.gaierror(errno=socket.EAI_NONAME)):
            return f"there is no host named {cause.host}", ENDPOINT_HINT
        case aiohttp.InvalidURL():
            return f"{cause} is no address", ENDPOINT_HINT
        case _:
            return None


def _lost(operation: str, key: str, cause: str) -> Transient:
    """Return the error of a call whose outcome is unknown: it went out, and no whole answer came."""
    return Transient(operation, key, cause, unknown=True)


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _first_line(error: BaseException) -> str:
    return _brief(error).split(". ")[0].rstrip(".")


def _doubtful(answer: Answer, operation: str, key: str) -> SweepError:
    """Return the error of an answer that is not in the table: the image is tried again some times, and then it is dead.

    Were it the configuration's fault, every image would meet it, and a row of passing failures stops the run.
    """
    return Transient(operation, key, answer.brief, retry_after=answer.delay, failure_class="refused")


def _bad_request(answer: Answer, operation: str, key: str) -> SweepError:
    said = answer.said
    for words, failure_class in _OF_THE_IMAGE:
        if words.search(said):
            return Rejected(operation, key, answer.message or answer.brief, failure_class=failure_class)
    for words, hint in _OF_THE_SETTINGS:
        if words.search(said):
            return Misconfigured(operation, key, answer.message or answer.brief, hint=hint)
    return _doubtful(answer, operation, key)


def _unauthorised(answer: Answer, operation: str, key: str) -> SweepError:
    hint = "Check IMAGESWEEP_VISION_KEY: the key must be of this resource, in its region and tier."
    if not re.search(r"subscription key|pricing tier", answer.said):
        hint = ROLE_HINT
    return Misconfigured(operation, key, answer.brief, hint=hint)


def _forbidden(answer: Answer, operation: str, key: str) -> SweepError:
    if re.search(r"quota|call volume", answer.said):
        return Refused(operation, key, answer.brief, hint="The month's calls are spent: wait, or move to a paid tier.")
    if re.search(r"firewall|virtual network|public access", answer.said):
        return Misconfigured(operation, key, answer.brief, hint="Let this network through the resource's firewall.")
    return Misconfigured(operation, key, answer.brief, hint=ROLE_HINT)


def _not_found(answer: Answer, operation: str, key: str) -> SweepError:
    if "model" in answer.said:
        return Misconfigured(
            operation, key, answer.brief, hint="Set IMAGESWEEP_VISION_MODEL to a version that exists, or `latest`."
        )
    return Misconfigured(operation, key, answer.brief, hint=ENDPOINT_HINT)


def _retired(answer: Answer, operation: str, key: str) -> SweepError:
    hint = "The model or the service is retired: set IMAGESWEEP_VISION_MODEL to `latest`, or IMAGESWEEP_CLASSIFIER to another kind."
    return Refused(operation, key, answer.brief, hint=hint)


def _too_large(answer: Answer, operation: str, key: str) -> SweepError:
    return Rejected(operation, key, answer.brief, failure_class="too-large")


def _throttled(answer: Answer, operation: str, key: str) -> SweepError:
    return Transient(operation, key, answer.brief, retry_after=answer.delay, throttled=True, failure_class="throttled")


def _timed_out(answer: Answer, operation: str, key: str) -> SweepError:
    return Transient(operation, key, answer.brief, retry_after=answer.delay, unknown=True, failure_class="timeout")


_MEANINGS: Final[Mapping[int, Callable[[Answer, str, str], SweepError]]] = {
    401: _unauthorised,
    403: _forbidden,
    404: _not_found,
    408: _timed_out,
    410: _retired,
    413: _too_large,
    429: _throttled,
    504: _timed_out,
}

_OF_THE_IMAGE: Final = (
    (re.compile(r"url is badly formatted|url.{0,30}not accessible|invalidimageurl"), UNREADABLE_URL),
    (re.compile(r"not allowed to be zero or larger"), "too-large"),
    (re.compile(r"too small|greater than 50|at least 50"), "too-small"),
    (re.compile(r"invalidimagesize|invalidimagedimension|image dimension|too large"), "too-large"),
    (re.compile(r"invalidimageformat|image format is not valid|notsupportedimage"), "format"),
)
"""What a 400 says of the image itself, and the class of its dead letter; the first that fits counts."""

_OF_THE_SETTINGS: Final = (
    (re.compile(r"not supported in this region"), CAPTIONS_HINT),
    (
        re.compile(r"notsupportedlanguage|language"),
        "Set IMAGESWEEP_VISION_LANGUAGE to one that all the features know; captions know `en`.",
    ),
    (
        re.compile(r"model-version|modelversion|model version"),
        "Set IMAGESWEEP_VISION_MODEL to `latest` or a date as in 2023-10-01.",
    ),
    (re.compile(r"notsupportedvisualfeature|'features'|notsupportedfeature"), "Check IMAGESWEEP_VISION_FEATURES."),
    (
        re.compile(r"badargument|content type|api-version|api version"),
        "Update imagesweep: the service takes requests of another form.",
    ),
)
"""What a 400 says of the settings, and what to do."""
