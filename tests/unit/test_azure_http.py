"""Connections look for a proxy only where the environment names one."""

from __future__ import annotations

import pytest
from azure.core.credentials import AzureKeyCredential

from jobs.adapters.azure_blob_channel import open_channel
from jobs.adapters.azure_blob_place import place
from jobs.adapters.azure_http import proxied
from jobs.adapters.azure_vision_http import pipeline
from tests.conftest import Run

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_without_a_proxy_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not proxied()
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert not proxied()


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_is_gone_through(monkeypatch: pytest.MonkeyPatch, run: Run, name: str) -> None:
    async def trusts() -> list[bool]:
        key = AzureKeyCredential("a2V5")
        location = place("http://127.0.0.1:1/devstoreaccount1/photos", with_key=True)
        async with pipeline(key) as way, open_channel(location, key, seconds=1) as channel:
            storage = channel._pipeline._transport
            return [way["transport"].session.trust_env, storage.session.trust_env]

    assert run(trusts()) == [False, False]
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert run(trusts()) == [True, True]
