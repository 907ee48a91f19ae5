"""The account of Azure Cosmos DB: its address, the client, what it may cost, and patience with it.

The SDK's own retries are off as far as it lets them: with `retry_total=0` a broken connection is not tried again (by default it
sends a write again that may have happened), and a negative `retry_throttle_total` (0 means 9 to it) leaves 429 to us. What it
still does by itself: it asks again after a split of partitions, goes to the next region when one cannot be reached, and waits
for a replica that lags behind the session. Every request is repeated here, by `jobs.retry`, whoever sent it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from azure.core.credentials import AzureKeyCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.transport import AioHttpTransport
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from jobs.adapters.azure_http import proxied
from jobs.adapters.cosmos_batch import Operation, Refused
from jobs.adapters.cosmos_errors import lost, redirect, translated
from jobs.errors import Misconfigured
from jobs.retry import Policy, retry

FLYING = 32
"""Requests in flight at once, for one store."""

PATIENCE = Policy(attempts=40, seconds=30.0, base=0.1, cap=5.0)
"""How long one request is tried: a container that is short of throughput slows its users down before it stops them."""

CONNECT_SECONDS = 5
ANSWER_SECONDS = 20
"""The service itself gives an operation up after 5 s."""

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})

Credential = AzureKeyCredential | AsyncTokenCredential
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Location:
    """Where a store is: the account's address and the name of the database."""

    endpoint: str
    database: str

    @property
    def emulated(self) -> bool:
        """Whether this is a server on this machine, without encryption, that knows one region only."""
        return self.endpoint.startswith("http:")


def located(text: str) -> Location:
    """Read `https://ACCOUNT.documents.azure.com/DATABASE`. Raises Misconfigured; http is for this machine only."""
    parts = urlsplit(text)
    database = unquote(parts.path.strip("/"))
    local = parts.hostname in LOCAL
    if not parts.hostname or not database or "/" in database or parts.scheme not in (("http", "https") if local else ("https",)):
        hint = "It reads cosmos:https://ACCOUNT.documents.azure.com/DATABASE."
        raise Misconfigured("read", "IMAGESWEEP_STORE", f"{text!r} names no account and database", hint=hint)
    return Location(f"{parts.scheme}://{parts.netloc}", database)


@dataclass(slots=True)
class Meter:
    """Counts what the service charges: request units (RU) of every answer, refused and failed ones included."""

    ru: float = 0.0

    def __call__(self, response: Any) -> None:
        """Take the charge of one answer; the SDK calls this for each. Raises Misconfigured for a redirection."""
        if (elsewhere := redirect("ask", response.http_request.url, response.http_response.status_code)) is not None:
            raise elsewhere
        self.ru += float(response.http_response.headers.get("x-ms-request-charge") or 0.0)


@dataclass(frozen=True, slots=True)
class Account:
    """An open account: at most FLYING requests at once, each tried with patience, each metered."""

    client: CosmosClient
    location: Location
    meter: Meter
    policy: Policy = PATIENCE
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(FLYING))

    async def call(self, operation: str, key: str, request: Callable[[], Awaitable[T]], *, writes: bool = False) -> T:
        """Make one request, repeated while it fails in passing; the SDK's errors become ours, as `translated` says."""

        async def attempt() -> T:
            async with self.turns:
                with translated(operation, key, writes=writes):
                    return await request()

        return await retry(attempt, self.policy)

    async def unless_lost(self, operation: str, key: str, request: Callable[[], Awaitable[T]], *, writes: bool = False) -> T | None:
        """Make a request as `call` does; return None where the item is not there or not at the version that was asked for."""

        async def attempt() -> T | None:
            try:
                return await request()
            except CosmosHttpResponseError as error:
                if lost(error):
                    return None
                raise

        return await self.call(operation, key, attempt, writes=writes)

    async def batch(
        self, operation: str, key: str, container: ContainerProxy, part: str, operations: Callable[[], list[Operation]]
    ) -> Sequence[Mapping[str, Any]] | Refused:
        """Send operations on one partition as one transaction, as `call` does; they are made anew for each try."""

        async def attempt() -> Sequence[Mapping[str, Any]] | Refused:
            try:
                return await container.execute_item_batch(operations(), part)
            except CosmosBatchOperationError as error:
                if lost(error):
                    return Refused(error.error_index)
                raise

        return await self.call(operation, key, attempt, writes=True)


@asynccontextmanager
async def open_account(
    location: Location, credential: Credential, *, policy: Policy = PATIENCE, **options: Any
) -> AsyncIterator[Account]:
    """Open the account; `options` go to the client. Raises Misconfigured where the account could lose or mix up what is written."""
    meter = Meter()
    client = CosmosClient(
        location.endpoint,
        credential.key if isinstance(credential, AzureKeyCredential) else credential,
        enable_endpoint_discovery=not location.emulated,
        retry_total=0,
        retry_throttle_total=-1,
        connection_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        raw_response_hook=meter,
        **{"transport": AioHttpTransport(use_env_settings=proxied()), **options},
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(client.close)  # before it is entered, which asks the account, and leaves a session when refused
        with translated("open", location.endpoint):
            await client.__aenter__()
            account = await client.client_connection.GetDatabaseAccount()
        _check(location, account)
        yield Account(client, location, meter, policy)


def _check(location: Location, account: Any) -> None:
    level = (account.ConsistencyPolicy or {}).get("defaultConsistencyLevel", "Session")
    if level in ("Eventual", "ConsistentPrefix"):
        hint = "Set it to Session for one sweep at a time, to BoundedStaleness or Strong for several processes"
        raise Misconfigured("open", location.endpoint, f"consistency {level} may not show a process its own writes", hint=hint)
    if account._EnableMultipleWritableLocations:  # noqa: SLF001 the SDK keeps it there and nowhere else
        hint = "Use an account with one write region: conditional writes in two regions both succeed, and one is lost"
        raise Misconfigured("open", location.endpoint, "the account has several write regions", hint=hint)
