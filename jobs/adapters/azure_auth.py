"""Who we are to Azure: the identity of the machine or the person, or a key where one is set."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from azure.core.credentials import AzureKeyCredential
from azure.core.credentials_async import AsyncTokenCredential
from pydantic import SecretStr

_UNHEARD = logging.NullHandler()
"""Keeps what the SDKs log off the terminal where nobody set logging up: each fault is said once, by our own error."""


@asynccontextmanager
async def credential(key: SecretStr | None) -> AsyncIterator[AzureKeyCredential | AsyncTokenCredential]:
    """Open the credential of one service: its key where one is set, else managed identity, environment or `az login`."""
    logging.getLogger("azure").addHandler(_UNHEARD)
    if key is not None:
        yield AzureKeyCredential(key.get_secret_value())
        return
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 half a second that a key does not need

    async with DefaultAzureCredential() as identity:
        yield identity
