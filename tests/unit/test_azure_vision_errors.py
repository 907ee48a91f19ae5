"""Every refusal of AI Vision, and of the way to it, and what it means for the image and for the run."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)

from jobs.adapters.azure_vision_errors import read_answer, refusal, translated
from jobs.errors import Misconfigured, Refused, Rejected, SweepError, Transient

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = ConnectionKey("vision.example", 443, True, True, None, None, None)


def told(
    status: int,
    code: str = "",
    message: str = "",
    *,
    inner: str = "",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
) -> SweepError:
    """Return our error for an answer of the service."""
    error: dict[str, Any] = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner, "message": message}
    text = json.dumps({"error": error}) if body is None else body
    return refusal(read_answer(status, headers or {}, text, now=lambda: NOON), "classify", "a.jpg")


REJECTED = [
    ("InvalidImageFormat", "Image format is not valid.", "format"),
    ("", "Image format is not valid.", "format"),
    ("", "The image size is not allowed to be zero or larger than 20971520 bytes.", "too-large"),
    ("InvalidImageSize", "Input image is too small.", "too-small"),
    ("InvalidImageDimension", "Input image is too large.", "too-large"),
    ("", "Image URL is badly formatted or not accessible.", "url"),
]


@pytest.mark.parametrize(("inner", "message", "failure_class"), REJECTED)
def test_a_fault_of_the_image_is_a_dead_letter_of_its_class(inner: str, message: str, failure_class: str) -> None:
    error = told(400, "InvalidRequest", message, inner=inner)
    assert isinstance(error, Rejected)
    assert (error.failure_class, error.cause, error.key) == (failure_class, message, "a.jpg")


MISCONFIGURED = [
    (400, "InvalidRequest", "", "The feature 'Caption' is not supported in this region.", "East US"),
    (400, "InvalidRequest", "NotSupportedVisualFeature", "The feature is not supported.", "IMAGESWEEP_VISION_FEATURES"),
    (400, "InvalidRequest", "NotSupportedLanguage", "The language is not supported.", "IMAGESWEEP_VISION_LANGUAGE"),
    (400, "InvalidRequest", "BadArgument", "The model-version is not valid.", "IMAGESWEEP_VISION_MODEL"),
    (400, "InvalidRequest", "BadArgument", "The aspect ratio is wrong.", "Update imagesweep"),
    (400, "InvalidRequest", "", "The image content type is not supported.", "Update imagesweep"),
    (400, "InvalidRequest", "", "Either 'features' or 'model-name' needs to be specified.", "IMAGESWEEP_VISION_FEATURES"),
    (401, "401", "", "Access denied due to invalid subscription key or wrong API endpoint.", "IMAGESWEEP_VISION_KEY"),
    (401, "401", "", "The operation is not supported with the current subscription key and pricing tier", "tier"),
    (401, "PermissionDenied", "", "The principal lacks the required data action.", "Cognitive Services User"),
    (403, "403", "", "Access denied due to Virtual Network/Firewall rules.", "firewall"),
    (403, "AuthorizationFailed", "", "No access.", "Cognitive Services User"),
    (404, "404", "", "Resource not found", "https://RESOURCE"),
    (404, "NotFound", "", "The model 2020-01-01 was not found", "IMAGESWEEP_VISION_MODEL"),
    (307, "", "", "", "https://RESOURCE"),
]


@pytest.mark.parametrize(("status", "code", "inner", "message", "hint"), MISCONFIGURED)
def test_a_fault_of_the_settings_stops_the_run_and_says_what_to_do(
    status: int, code: str, inner: str, message: str, hint: str
) -> None:
    error = told(status, code, message, inner=inner)
    assert isinstance(error, Misconfigured)
    assert hint in error.hint
    assert message in error.cause


@pytest.mark.parametrize(
    ("status", "message", "hint"),
    [(410, "The model is retired.", "retired"), (403, "Out of call volume quota. Quota will be replenished in 9 days.", "month")],
)
def test_what_serves_no_call_any_more_stops_the_run(status: int, message: str, hint: str) -> None:
    error = told(status, "", message)
    assert isinstance(error, Refused)
    assert hint in error.hint


PASSING = [
    (408, True, False, "timeout"),
    (429, False, True, "throttled"),
    (500, False, False, "transient"),
    (502, False, False, "transient"),
    (503, False, False, "transient"),
    (504, True, False, "timeout"),
    (507, False, False, "transient"),
    (400, False, False, "refused"),
    (409, False, False, "refused"),
    (415, False, False, "refused"),
]


@pytest.mark.parametrize(("status", "unknown", "throttled", "failure_class"), PASSING)
def test_a_passing_fault_is_tried_again(status: int, unknown: bool, throttled: bool, failure_class: str) -> None:  # noqa: FBT001
    error = told(status, "Odd", "Something else.")
    assert isinstance(error, Transient)
    assert (error.unknown, error.throttled, error.failure_class) == (unknown, throttled, failure_class)
    assert error.retry_after is None
    assert "Something else." in error.cause


def test_too_many_bytes_for_the_gateway_are_the_images_fault() -> None:
    error = told(413, "", "Request Entity Too Large")
    assert isinstance(error, Rejected)
    assert error.failure_class == "too-large"


DELAYS = [
    ({}, "Please retry after 7 seconds.", 7.0),
    ({}, "Please retry after 1 second. To increase", 1.0),
    ({}, "Rate limit is exceeded. Try again in 26 seconds.", 26.0),
    ({}, "Slow down.", None),
    ({"Retry-After": "3"}, "Please retry after 7 seconds.", 3.0),
    ({"retry-after": "0"}, "", 0.0),
    ({"Retry-After": "2.5"}, "", 2.5),
    ({"Retry-After": "Sun, 01 Mar 2026 12:00:09 GMT"}, "", 9.0),
    ({"Retry-After": "Sun, 01 Mar 2026 11:00:00 GMT"}, "", 0.0),
    ({"Retry-After": "Sun, 01 Mar 2026 12:00:09 GMT", "Date": "Sun, 01 Mar 2026 12:00:04 GMT"}, "", 5.0),
    ({"Retry-After": "soon"}, "Please retry after 7 seconds.", 7.0),
]


@pytest.mark.parametrize(("headers", "message", "delay"), DELAYS)
def test_the_delay_is_the_headers_else_the_messages(headers: dict[str, str], message: str, delay: float | None) -> None:
    error = told(429, "429", message, headers=headers)
    assert isinstance(error, Transient)
    assert error.retry_after == delay


BODIES = [
    ("<html><head><title>502</title></head><h1>Bad  Gateway</h1></html>", "502 Bad Gateway"),
    ("", "status 502"),
    ("[]", "status 502"),
    ("null", "status 502"),
    ('{"error": "down"}', "down"),
    ('{"statusCode": 502, "message": "no backend"}', "no backend"),
    ('{"error": {"code": "X", "innererror": {"code": "Y", "message": "inside", "innererror": {"code": "Z"}}}}', "inside"),
    ('{"error": {"code": null, "message": null}}', "status 502"),
]


@pytest.mark.parametrize(("body", "said"), BODIES)
def test_a_body_of_another_form_is_read_all_the_same(body: str, said: str) -> None:
    error = told(502, body=body)
    assert isinstance(error, Transient)
    assert said in error.cause


def test_the_innermost_code_counts_and_the_header_stands_in() -> None:
    nested = read_answer(400, {}, '{"error": {"code": "InvalidRequest", "innererror": {"code": "A", "innererror": {"code": "B"}}}}')
    assert (nested.code, nested.inner) == ("InvalidRequest", "B")
    assert read_answer(400, {"X-Ms-Error-Code": "InvalidRequest"}, "").code == "InvalidRequest"


def _raised(error: BaseException) -> SweepError:
    with pytest.raises(SweepError) as caught, translated("classify", "a.jpg"):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


def _request(inner: Exception) -> ServiceRequestError:
    return ServiceRequestError(str(inner), error=inner)


def _dns(number: int) -> aiohttp.ClientConnectorDNSError:
    return aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(number, "Name or service not known"))


LOST = [
    _request(aiohttp.ServerDisconnectedError()),
    _request(aiohttp.ClientOSError(104, "Connection reset by peer")),
    ServiceResponseError("the answer is no HTTP"),
    ServiceResponseTimeoutError("no answer in time"),
    IncompleteReadError("cut"),
    AzureError("whatever else"),
    HttpResponseError("no response at all"),
]


@pytest.mark.parametrize("error", LOST, ids=repr)
def test_what_broke_after_the_request_went_out_may_have_been_billed(error: Exception) -> None:
    lost = _raised(error)
    assert isinstance(lost, Transient)
    assert lost.unknown


NEVER_SENT = [
    _request(aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "Connection refused"))),
    _request(_dns(socket.EAI_AGAIN)),
    ServiceRequestTimeoutError("no connection", error=aiohttp.ConnectionTimeoutError()),
]


@pytest.mark.parametrize("error", NEVER_SENT, ids=repr)
def test_what_never_connected_was_not_billed(error: Exception) -> None:
    passing = _raised(error)
    assert isinstance(passing, Transient)
    assert (passing.unknown, passing.failure_class) == (False, "unreachable")


WRONG_WAY = [
    (_request(aiohttp.ClientConnectorCertificateError(KEY, Exception("self-signed certificate"))), "TLS"),
    (_request(aiohttp.ClientConnectorSSLError(KEY, OSError(1, "wrong version number"))), "TLS"),
    (_request(_dns(socket.EAI_NONAME)), "no host named vision.example"),
    (_request(aiohttp.InvalidURL("https://")), "no address"),
    (ServiceRequestError("Bearer token authentication is not permitted for non-TLS protected (non-https) URLs."), "Bearer token"),
    (ClientAuthenticationError("DefaultAzureCredential failed to retrieve a token"), "no identity"),
]


@pytest.mark.parametrize(("error", "cause"), WRONG_WAY, ids=lambda value: value if isinstance(value, str) else "")
def test_a_wrong_way_to_the_service_is_the_settings_fault(error: Exception, cause: str) -> None:
    wrong = _raised(error)
    assert isinstance(wrong, Misconfigured)
    assert cause in wrong.cause
    assert wrong.hint


def test_what_is_not_the_services_passes_through() -> None:
    with pytest.raises(KeyError), translated("classify", "a.jpg"):
        raise KeyError("a bug of ours")
