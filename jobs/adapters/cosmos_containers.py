"""The containers of a store in Azure Cosmos DB: what they are, how they are made once, and how they are checked at each start.

`records` is partitioned by `bucket`, one of 256, and `state` by `part`: both permanent. The index policy pays for nothing but the
paths that our queries use; `id` is always indexed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from azure.core import MatchConditions
from azure.cosmos import PartitionKey, ThroughputProperties
from azure.cosmos.aio import ContainerProxy, DatabaseProxy
from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceExistsError

from jobs.adapters.cosmos_account import Account, Credential, located, open_account
from jobs.errors import Misconfigured

RECORDS, STATE = "records", "state"
PARTITIONS: Mapping[str, str] = {RECORDS: "/bucket", STATE: "/part"}
INDEXED: Mapping[str, tuple[str, ...]] = {RECORDS: ("place", "standing", "trouble", "due", "answer", "bucket"), STATE: ("place",)}
SCHEMA = 1
SCHEMA_ID = "schema"
"""The item of `state` that says which schema the store has; reading it tells the service's time for one request unit."""

_MANAGED = (
    "An identity may not create databases and containers with the data-plane role: create them with infra, as docs/azure.md says, "
    "or set IMAGESWEEP_COSMOS_KEY for this one command"
)


def index_policy(container: str) -> dict[str, Any]:
    """Return the index policy of a container."""
    included = [{"path": f"/{name}/?"} for name in INDEXED[container]]
    return {"indexingMode": "consistent", "automatic": True, "includedPaths": included, "excludedPaths": [{"path": "/*"}]}


async def create_cosmos(location: str, credential: Credential, *, max_ru: int | None = None) -> list[str]:
    """Create what is missing of a store at `location`, and return its names; what is there stays as it is.

    `max_ru` is the ceiling of an autoscaled throughput that both containers share, in RU/s, for a new database; None leaves it to
    the account: serverless, or 400 RU/s for each container. Raises Misconfigured where a container is there with another
    partition key, the store has a newer schema, or this identity may not create.
    """
    async with open_account(located(location), credential) as account:
        database = account.client.get_database_client(account.location.database)
        made = []
        offer = None if max_ru is None else ThroughputProperties(auto_scale_max_throughput=max_ru)
        if not await _exists(account, database.read, database.id):
            create = partial(account.client.create_database, database.id, offer_throughput=offer)
            made += await _make(account, database.id, create)
        for name in PARTITIONS:
            if await _exists(account, database.get_container_client(name).read, name):
                continue
            key, policy = PartitionKey(PARTITIONS[name]), index_policy(name)
            made += await _make(account, name, partial(database.create_container, name, key, indexing_policy=policy))
        state = database.get_container_client(STATE)
        schema = {"id": SCHEMA_ID, "part": SCHEMA_ID, "schema": SCHEMA}
        await _make(account, SCHEMA_ID, partial(state.create_item, schema), managed=False)
        await checked(account, database)
        return made


async def checked(account: Account, database: DatabaseProxy) -> tuple[ContainerProxy, ContainerProxy]:
    """Return the containers for records and state. Raises Misconfigured where they are missing or are not ours."""
    where = f"{account.location.endpoint}/{database.id}"
    for name, path in PARTITIONS.items():
        found = await account.call("open", f"{where}/{name}", database.get_container_client(name).read)
        paths = found["partitionKey"]["paths"]
        if paths != [path]:
            cause = f"it is partitioned by {', '.join(paths)} and not by {path}"
            raise Misconfigured("open", f"{where}/{name}", cause, hint="Name another database in IMAGESWEEP_STORE")
    records, state = (database.get_container_client(name) for name in (RECORDS, STATE))
    item = await account.call("open", where, partial(state.read_item, SCHEMA_ID, SCHEMA_ID))
    schema = item.get("schema", 0)
    if schema > SCHEMA:
        cause = f"written by a newer imagesweep (schema {schema}, this one knows up to {SCHEMA})"
        raise Misconfigured("open", where, cause, hint="Update imagesweep here, or use the version that wrote it")
    return records, state


async def writable(account: Account, state: ContainerProxy) -> None:
    """Raise Misconfigured where this identity may only read: ask for a write at a version that never was, which changes nothing."""
    item = {"id": SCHEMA_ID, "part": SCHEMA_ID, "schema": SCHEMA}
    replace = partial(state.replace_item, SCHEMA_ID, item, etag='"never"', match_condition=MatchConditions.IfNotModified)
    await account.unless_lost("check", STATE, replace, writes=True)


async def _exists(account: Account, read: Callable[[], Awaitable[object]], name: str) -> bool:
    async def attempt() -> bool:
        try:
            await read()
        except CosmosHttpResponseError as error:
            if error.status_code == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    return await account.call("read", name, attempt)


async def _make(account: Account, name: str, create: Callable[[], Awaitable[object]], *, managed: bool = True) -> list[str]:
    """Create one thing, and return its name in a list; nothing when it is there. `managed` things are beyond a data-plane role."""

    async def attempt() -> list[str]:
        try:
            await create()
        except CosmosResourceExistsError:
            return []
        except CosmosHttpResponseError as error:
            if managed and error.status_code == HTTPStatus.FORBIDDEN:
                raise Misconfigured("create", name, "this identity may not", hint=_MANAGED) from error
            raise
        return [name]

    return await account.call("create", name, attempt, writes=True)
