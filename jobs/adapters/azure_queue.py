"""A queue of Azure Storage, to call oneself again by."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError, ServiceRequestError
from azure.storage.queue import TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from jobs.errors import Misconfigured, Transient
from jobs.retry import Policy, retry

_EMULATOR = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1"
)
"""What `UseDevelopmentStorage=true` stands for; the key is published and guards nothing."""
PATIENT = Policy()
"""How long a message is tried to be put."""
_FORBIDDEN = 403
_RIGHTS = "The app's identity needs the role Storage Queue Data Contributor on the account."


class AzureQueue:
    """Puts messages on one queue, in the encoding that the Functions host reads."""

    def __init__(self, client: QueueClient, policy: Policy) -> None:
        self._client = client
        self._policy = policy

    async def put(self, message: str, *, delay: float = 0.0) -> None:
        """Put a message that shows after `delay` seconds, seven days at most. Makes the queue where it is missing.

        Raises Transient for a fault that did not pass in time, Misconfigured when this identity may not. A message whose
        acknowledgement was lost is put again, and delivered twice.
        """
        await retry(lambda: self._put(message, delay), self._policy)

    async def _put(self, message: str, delay: float) -> None:
        with _translated(self._client.queue_name):
            try:
                await self._client.send_message(message, visibility_timeout=round(delay))
            except ResourceNotFoundError:
                await self._client.create_queue()
                await self._client.send_message(message, visibility_timeout=round(delay))


@asynccontextmanager
async def open_azure_queue(
    name: str, connection: str, environment: Mapping[str, str], *, policy: Policy = PATIENT
) -> AsyncIterator[AzureQueue]:
    """Open a queue of the account that the host's setting `connection` means: a connection string, or an identity's parts of it.

    Nothing is asked of the service yet. Raises Misconfigured when the setting is not there.
    """
    # The SDK's own retries are off: ours run, and know a deadline.
    options: dict[str, Any] = {"message_encode_policy": TextBase64EncodePolicy(), "retry_total": 0}
    text = environment.get(connection, "")
    if text:
        whole = _EMULATOR if text.strip().rstrip(";").lower() == "usedevelopmentstorage=true" else text
        try:
            client = QueueClient.from_connection_string(whole, name, **options)
        except ValueError as error:
            raise Misconfigured("read", connection, "it is no connection string", hint="See docs/functions.md.") from error
        async with client:
            yield AzureQueue(client, policy)
        return
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 half a second that a connection string does not need

    endpoint = _endpoint(connection, environment)
    async with (
        DefaultAzureCredential(managed_identity_client_id=environment.get(f"{connection}__clientId")) as identity,
        QueueClient(endpoint, name, credential=identity, **options) as client,
    ):
        yield AzureQueue(client, policy)


def _endpoint(connection: str, environment: Mapping[str, str]) -> str:
    uri, account = environment.get(f"{connection}__queueServiceUri"), environment.get(f"{connection}__accountName")
    if not uri and not account:
        hint = f"Set {connection}__accountName (identity), or {connection} (connection string, for the emulator)."
        raise Misconfigured("read", connection, "it names no storage account", hint=hint)
    return uri or f"https://{account}.queue.core.windows.net"


@contextmanager
def _translated(queue: str) -> Iterator[None]:
    try:
        yield
    except ClientAuthenticationError as error:
        raise Misconfigured("put on", queue, error.message, hint=_RIGHTS) from error
    except ServiceRequestError as error:
        raise Transient("put on", queue, error.message) from error
    except HttpResponseError as error:
        if error.status_code == _FORBIDDEN:
            raise Misconfigured("put on", queue, error.message, hint=_RIGHTS) from error
        raise Transient("put on", queue, error.message, unknown=True) from error
