"""Short-lived addresses of single blobs, for a service that fetches them itself: shared access signatures, read-only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from azure.core.credentials import AzureKeyCredential
from azure.storage.blob import BlobSasPermissions, UserDelegationKey, generate_blob_sas
from azure.storage.blob.aio import BlobServiceClient

from jobs.adapters.azure_blob_channel import Credential
from jobs.adapters.azure_blob_errors import refused, translated
from jobs.adapters.azure_blob_place import Place

_SKEW = timedelta(minutes=15)
_KEY_LIFE = timedelta(hours=6)


class Links:
    """Signs addresses of blobs of one container: with the account's key, or with one that the identity was delegated.

    `now` is the service's clock: signatures begin and end by it. It is asked once for each delegated key, every few hours.
    """

    def __init__(self, place: Place, credential: Credential, *, now: Callable[[], Awaitable[datetime]]) -> None:
        self._place = place
        self._credential = credential
        self._now = now
        self._turn = asyncio.Lock()
        self._ahead: timedelta | None = None
        self._key: UserDelegationKey | None = None
        self._until = datetime.min.replace(tzinfo=UTC)

    async def sign(self, name: str, minutes: float) -> str:
        """Return an address that reads this one blob for so many minutes. Raises our errors."""
        key = self._credential.key if isinstance(self._credential, AzureKeyCredential) else None
        end = await self._prepared(timedelta(minutes=minutes), delegated=key is None)
        signature = generate_blob_sas(
            account_name=self._place.account,
            container_name=self._place.container,
            blob_name=name,
            account_key=key,
            user_delegation_key=self._key,
            permission=BlobSasPermissions(read=True),
            expiry=end,
            protocol="https" if self._place.endpoint.startswith("https:") else "https,http",
        )
        return f"{self._place.url(name)}?{signature}"

    async def _prepared(self, life: timedelta, *, delegated: bool) -> datetime:
        """Have what is needed to sign for so long; return the end by the service's clock."""
        async with self._turn:
            if self._ahead is None:
                self._ahead = await self._now() - datetime.now(UTC)
            end = datetime.now(UTC) + self._ahead + life
            if delegated and end > self._until:
                self._ahead = await self._now() - datetime.now(UTC)
                await self._delegate(datetime.now(UTC) + self._ahead, max(life, _KEY_LIFE))
            return end

    async def _delegate(self, now: datetime, life: timedelta) -> None:
        assert not isinstance(self._credential, AzureKeyCredential)
        client = BlobServiceClient(self._place.endpoint, credential=self._credential, retry_total=0, permit_redirects=False)
        async with client:
            with translated("sign", self._place.key, proven=False), refused("sign", self._place.key):
                self._key = await client.get_user_delegation_key(key_start_time=now - _SKEW, key_expiry_time=now + life + _SKEW)
        self._until = now + life
