"""What IMAGESWEEP_SOURCE may name, and what it may not."""

from __future__ import annotations

import pytest

from jobs.adapters.azure_blob_place import Place, place
from jobs.errors import Misconfigured

ACCOUNT = "https://photos.blob.core.windows.net"
EMULATOR = "http://127.0.0.1:10000/devstoreaccount1"


@pytest.mark.parametrize(
    ("location", "found"),
    [
        (f"{ACCOUNT}/catalog", Place(ACCOUNT, "photos", "catalog", "")),
        (f"{ACCOUNT}/catalog/", Place(ACCOUNT, "photos", "catalog", "")),
        (f"{ACCOUNT}/catalog/2026/sp", Place(ACCOUNT, "photos", "catalog", "2026/sp")),
        (f"{ACCOUNT}/catalog/a%20b%23/%C3%A9", Place(ACCOUNT, "photos", "catalog", "a b#/\u00e9")),
        (f"{ACCOUNT}/catalog/a%2Fb", Place(ACCOUNT, "photos", "catalog", "a/b")),
        ("https://PHOTOS.blob.core.windows.net/$root", Place(ACCOUNT, "photos", "$root", "")),
        (f"{EMULATOR}/catalog/x/", Place(EMULATOR, "devstoreaccount1", "catalog", "x/")),
        ("http://localhost/devstoreaccount1/c", Place("http://localhost/devstoreaccount1", "devstoreaccount1", "c", "")),
        ("http://azurite:10000/devstoreaccount1/c", Place("http://azurite:10000/devstoreaccount1", "devstoreaccount1", "c", "")),
        ("http://[::1]:10000/acc/c", Place("http://[::1]:10000/acc", "acc", "c", "")),
    ],
)
def test_accounts_and_emulators(location: str, found: Place) -> None:
    assert place(location, with_key=True) == found


def test_the_key_leaves_the_prefix_out() -> None:
    assert place(f"{ACCOUNT}/catalog/a", with_key=False).key == place(f"{ACCOUNT}/catalog/b", with_key=False).key
    assert place(f"{ACCOUNT}/catalog", with_key=False).key != place(f"{ACCOUNT}/other", with_key=False).key


@pytest.mark.parametrize(
    "location", ["", "photos", "/catalog", ACCOUNT, f"{ACCOUNT}/", EMULATOR, "ftp://x.y/c", "https://x:port/c/d"]
)
def test_what_names_no_container_is_refused(location: str) -> None:
    with pytest.raises(Misconfigured):
        place(location, with_key=True)


@pytest.mark.parametrize(
    "location",
    [
        f"{ACCOUNT}/c?sv=2026&sig=SECRET",
        f"{ACCOUNT}/c?SECRET",
        f"{ACCOUNT}/c#SECRET",
        "https://user:SECRET@x.y/c",
        "https://[SECRET/c",
    ],
)
def test_secrets_are_refused_and_not_repeated(location: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        place(location, with_key=True)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("location", "with_key"),
    [("http://photos.blob.core.windows.net/c", True), (f"{EMULATOR}/c", False), ("http://10.0.0.1/acc/c", True)],
)
def test_what_is_not_encrypted_is_for_the_emulator_with_its_key(location: str, with_key: bool) -> None:  # noqa: FBT001
    with pytest.raises(Misconfigured, match="not encrypted"):
        place(location, with_key=with_key)


@pytest.mark.parametrize("name", ["a b", "é", "100%25", "q?#&+", "a//b", "/lead", "~", "{x}"])
def test_names_become_addresses_that_hold_them(name: str) -> None:
    url = place(f"{ACCOUNT}/c", with_key=False).url(name)
    assert url.isascii()
    assert not set("?#{} ") & set(url)
    assert place(url, with_key=False).prefix == name
