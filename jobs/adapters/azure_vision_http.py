"""The way to AI Vision: one session, one pipeline without retries and redirects, for both of its clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from azure.core.credentials import AzureKeyCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    AzureKeyCredentialPolicy,
    RequestIdPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import AioHttpTransport

from jobs.adapters.azure_http import proxied
from jobs.adapters.azure_vision_errors import ENDPOINT_HINT
from jobs.errors import Misconfigured

Credential = AzureKeyCredential | AsyncTokenCredential

SCOPE: Final = "https://cognitiveservices.azure.com/.default"
KEY_HEADER: Final = "Ocp-Apim-Subscription-Key"


def endpoint(location: str, credential: Credential) -> str:
    """Return the address of a resource without its last slash. Raises Misconfigured for what is none."""
    try:
        parts = urlsplit(location)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Misconfigured("open AI Vision", location, str(error), hint=ENDPOINT_HINT) from error
    if (
        parts.scheme not in ("http", "https")
        or not host
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
        or parts.username
    ):
        raise Misconfigured("open AI Vision", location, "it is not the address of a resource", hint=ENDPOINT_HINT)
    if parts.scheme == "http" and (host not in ("127.0.0.1", "localhost") or not isinstance(credential, AzureKeyCredential)):
        cause = "plain http is for stand-ins on this machine, and with a key"
        raise Misconfigured("open AI Vision", location, cause, hint=ENDPOINT_HINT)
    return f"{parts.scheme}://{parts.netloc}"


@asynccontextmanager
async def pipeline(credential: Credential) -> AsyncIterator[dict[str, Any]]:
    """Open a session; yield what a client of azure-core is built with.

    Retries are not the SDK's (`jobs.retry` has them) and neither are redirects; what bounds the connections is the run's throttle.
    """
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=proxied()
    )
    async with AioHttpTransport(session=session) as transport:
        yield {"transport": transport, "policies": [RequestIdPolicy(), UserAgentPolicy("imagesweep"), _authentication(credential)]}


def _authentication(credential: Credential) -> Any:
    if isinstance(credential, AzureKeyCredential):
        return AzureKeyCredentialPolicy(credential, KEY_HEADER)
    return AsyncBearerTokenCredentialPolicy(credential, SCOPE)
