"""Blob Storage by identity instead of key: over TLS, with tokens, and links signed with a delegated key.

The client runs in a process of its own, whose trust store is the test's certificate: aiohttp reads it when it is imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.azurite import azurite
from tests.servers.certificate import certificate

pytestmark = pytest.mark.servers

CLIENT = """
import asyncio, base64, json, sys, time
import aiohttp
from azure.core.credentials import AccessToken
from azure.storage.blob.aio import ContainerClient
from jobs.adapters.azure_blob import open_azure_blob

def part(content):
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

class Identity:
    async def get_token(self, *scopes, **_):
        assert scopes == ("https://storage.azure.com/.default",)
        now = int(time.time())
        tenant = "00000000-0000-0000-0000-000000000001"
        claims = {"aud": "https://storage.azure.com", "iss": f"https://sts.windows.net/{tenant}/", "nbf": now - 60,
                  "iat": now - 60, "exp": now + 3600, "oid": tenant, "tid": tenant, "sub": tenant}
        return AccessToken(f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(claims)}.c2ln", now + 3600)
    async def close(self): ...
    async def __aenter__(self): return self
    async def __aexit__(self, *_): ...

async def main(endpoint):
    async with (
        ContainerClient(endpoint, "photos", credential=Identity()) as direct,
        open_azure_blob(endpoint + "/photos", Identity()) as source,
        aiohttp.ClientSession() as anyone,
    ):
        await direct.create_container()
        await direct.upload_blob("a.jpg", b"bytes")
        [blob] = [blob async for page in source.pages() for blob in page.blobs]
        link = await source.read_url(blob, 5)
        async with anyone.get(link) as answer:
            fetched = (answer.status, (await answer.read()).decode())
        async with anyone.delete(link) as answer:
            deleted = answer.status
        read = (await source.read(blob)).decode()
        print(json.dumps({"read": read, "fetched": fetched, "deleted": deleted, "link": link}))

asyncio.run(main(sys.argv[1]))
"""


def test_an_identity_reads_and_signs_links_with_a_delegated_key(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    with azurite(tmp_path, certificate=made) as endpoint:
        environment = {**os.environ, "SSL_CERT_FILE": str(made.chain)}
        command = [sys.executable, "-W", "error", "-c", CLIENT, endpoint]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert (found["read"], found["fetched"], found["deleted"]) == ("bytes", [200, "bytes"], 403)
    assert "skoid=" in found["link"], "signed with a delegated key"
    assert "spr=https&" in f"{found['link']}&", "over https only"
