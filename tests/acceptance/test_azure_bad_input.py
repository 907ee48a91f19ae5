"""The Azure profile with one thing wrong: one clear line, its exit status, and no image that pays for it.

Each fault is met by `check`, which says it of that part alone, then by a sweep; once it is mended, nothing was lost or paid for.
"""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from xml.sax.saxutils import escape, unescape

import pytest

from search.azure_index.schema import SCHEMA
from tests.acceptance.azure_world import IMAGES, World, png, world
from tests.acceptance.conftest import Answer, Desk
from tests.servers.proxy import Answer as Said
from tests.servers.proxy import Edit
from tests.standins.vision import Fault

__all__ = ["world"]

pytestmark = pytest.mark.servers

OTHER_KEY = base64.b64encode(b"of the right form, and of no account whatsoever, whoever asks it").decode()
ELSEWHERE = {"Location": "https://elsewhere.example/"}
NOWHERE = "nowhere.invalid"


@dataclass(frozen=True, slots=True)
class Bad:
    """What is wrong with which part, how it is done, and what is said of it."""

    part: str
    harm: Callable[[World], None]
    words: tuple[str, ...]
    status: int = 2


def _set(name: str, value: str) -> Callable[[World], None]:
    def harm(world: World) -> None:
        world.settings[name] = value

    return harm


def _unset(name: str) -> Callable[[World], None]:
    def harm(world: World) -> None:
        del world.settings[name]
        part = {"blob_key": "source", "vision_key": "classifier", "cosmos_key": "store", "search_key": "index"}[name]
        world.lead(part, lambda location: location.replace("http:", "https:"))

    return harm


def _lead(part: str, change: Callable[[str], str]) -> Callable[[World], None]:
    return lambda world: world.lead(part, change)


def _answer(part: str, status: int, **headers: str) -> Callable[[World], None]:
    def harm(world: World) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        world.between(part).fail(Said(status, named, b"{}"), times=None)

    return harm


def _vision(fault: Fault) -> Callable[[World], None]:
    def harm(world: World) -> None:
        world.eyes.terms.always = fault

    return harm


def _no_captions(world: World) -> None:
    world.eyes.terms.captions = False


def _older_schema(world: World) -> None:
    for index in world.index.indexes.values():
        index.definition["description"] = "imagesweep schema 1"


def _without_path(location: str) -> str:
    return location.rpartition("/")[0]


def _https(location: str) -> str:
    return location.replace("http:", "https:")


def _host(name: str) -> Callable[[str], str]:
    def change(location: str) -> str:
        path = location.partition("//")[2].partition("/")[2].rpartition("/")[2]
        return f"https://{name}/{path}".rstrip("/")

    return change


BAD = {
    "blob: another key": Bad("source", _set("blob_key", OTHER_KEY), ("AuthorizationFailure", "IMAGESWEEP_BLOB_KEY")),
    "blob: no key at all": Bad("source", _set("blob_key", "abc"), ("base64", "IMAGESWEEP_BLOB_KEY")),
    "blob: no identity": Bad("source", _unset("blob_key"), ("no identity could be had", "az login")),
    "blob: a SAS that has expired": Bad(
        "source", _lead("source", lambda location: f"{location}?sv=2026-01-01&se=2020-01-01&sig=hush"), ("a SAS?", "by identity")
    ),
    "blob: no such container": Bad("source", _lead("source", lambda location: f"{location}x"), ("There is no such container",)),
    "blob: no role": Bad(
        "source", _answer("source", 403, x_ms_error_code="AuthorizationPermissionMismatch"), ("Storage Blob Data Reader",)
    ),
    "blob: it redirects": Bad("source", _answer("source", 301, **ELSEWHERE), ("redirects", "IMAGESWEEP_SOURCE")),
    "blob: no TLS there": Bad("source", _lead("source", _https), ("no trusted connection", "TLS")),
    "blob: no such host": Bad("source", _lead("source", _host(NOWHERE)), ("host name is not known", "IMAGESWEEP_SOURCE")),
    "vision: another key": Bad("classifier", _set("vision_key", "wrong"), ("invalid subscription key", "IMAGESWEEP_VISION_KEY")),
    "vision: no identity": Bad("classifier", _unset("vision_key"), ("no identity could be had", "az login")),
    "vision: no role": Bad(
        "classifier", _vision(Fault(status=401, code="PermissionDenied", message="Principal")), ("Cognitive Services User",)
    ),
    "vision: a region without captions": Bad("classifier", _no_captions, ("not supported in this region", "East US")),
    "vision: a model that is retired": Bad(
        "classifier", _vision(Fault(status=410, message="Gone")), ("retired", "IMAGESWEEP_VISION_MODEL"), status=1
    ),
    "vision: it redirects": Bad("classifier", _vision(Fault(status=308, headers=ELSEWHERE)), ("redirects to https://elsewhere",)),
    "vision: no TLS there": Bad("classifier", _lead("classifier", _https), ("TLS",)),
    "vision: no such host": Bad("classifier", _lead("classifier", _host(NOWHERE)), (NOWHERE,)),
    "cosmos: another key": Bad("store", _answer("store", 401), ("IMAGESWEEP_COSMOS_KEY",)),
    "cosmos: no identity": Bad("store", _unset("cosmos_key"), ("no identity could be had", "az login")),
    "cosmos: no role": Bad("store", _answer("store", 403), ("Cosmos DB Built-in Data Contributor",)),
    "cosmos: no such database": Bad("store", _lead("store", lambda location: f"{location}x"), ("imagesweep index create",)),
    "cosmos: it redirects": Bad("store", _answer("store", 301, **ELSEWHERE), ("redirects", "IMAGESWEEP_STORE")),
    "cosmos: no TLS there": Bad("store", _lead("store", _https), ("not secure", "IMAGESWEEP_STORE")),
    "cosmos: no such host": Bad("store", _lead("store", _host(NOWHERE)), (NOWHERE, "IMAGESWEEP_STORE")),
    "search: another key": Bad("index", _set("search_key", "wrong"), ("status 403", "IMAGESWEEP_SEARCH_KEY")),
    "search: no identity": Bad("index", _unset("search_key"), ("no identity could be had", "az login")),
    "search: a key that only queries": Bad("index", _set("search_key", "query"), ("Search Index Data Contributor",)),
    "search: no such index": Bad("index", _lead("index", lambda location: f"{location}x"), ("imagesweep index create",)),
    "search: an older schema": Bad("index", _older_schema, ("schema 1", "imagesweep index rebuild")),
    "search: it redirects": Bad("index", _answer("index", 301, **ELSEWHERE), ("redirects", "service's own address")),
    "search: no TLS there": Bad("index", _lead("index", _https), ("TLS", "IMAGESWEEP_INDEX")),
    "search: no such host": Bad("index", _lead("index", _host(NOWHERE)), (NOWHERE, "IMAGESWEEP_INDEX")),
}


@pytest.mark.parametrize("name", BAD)
def test_one_thing_wrong(world: World, desk: Desk, name: str) -> None:
    alone = name.endswith(("another key", "no identity", "no TLS there"))  # in a process of its own, with its own standard error
    bad = BAD[name]
    if "no such host" in name:
        _needs_answers_about_hosts()
    right = dict(world.settings)
    bad.harm(world)

    checked = world.run("check", "--json")
    assert checked.status == 2, checked.out
    parts = {part["part"]: part for part in checked.json["parts"]}
    assert [part for part, told in parts.items() if not told["ok"]] == [bad.part], checked.out
    _said(str(parts[bad.part]["error"]), bad.words)

    swept = desk.run("sweep", "--json", **world.settings) if alone else world.run("sweep", "--json")
    assert swept.status == bad.status, swept
    _one_clear_line(swept, bad.words)
    assert swept.json.get("dead", 0) == 0
    assert not world.eyes.counts.paid or bad.part == "index"
    for secret in (*_keys(right), "hush"):
        assert secret not in swept.out + swept.err + checked.out

    world.settings = right
    world.eyes.terms.always, world.eyes.terms.captions = None, True
    for index in world.index.indexes.values():
        index.definition["description"] = index.definition["description"].replace("schema 1", f"schema {SCHEMA}")
    mended = _swept(world)
    assert (mended.status, mended.json["dead"], mended.json["deferred"]) == (0, 0, 0), mended
    assert world.run("search", "--json").json["count"] == len(IMAGES)
    assert not world.eyes.counts.twice


def _swept(world: World) -> Answer:
    """Sweep until nothing waits: what was given back is due at once, by a clock of whole seconds."""
    for _ in range(20):
        swept = world.run("sweep", "--json")
        if not swept.json.get("deferred"):
            break
    return swept


def _one_clear_line(answer: Answer, words: tuple[str, ...]) -> None:
    lines = answer.err.strip().splitlines()
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("imagesweep: ")
    _said(lines[0], words)


def _said(text: str, words: tuple[str, ...]) -> None:
    for word in words:
        assert word in text, text


def _keys(settings: dict[str, str]) -> list[str]:
    return [value for name, value in settings.items() if name.endswith("_key") and len(value) > 8]


def _needs_answers_about_hosts() -> None:
    try:
        socket.getaddrinfo(NOWHERE, 443)
    except socket.gaierror as error:
        if error.errno != socket.EAI_NONAME:
            pytest.skip("no name server answers here, so no host is known not to exist")


def test_names_that_are_no_addresses_are_the_only_dead_letters(world: World) -> None:
    good = [
        "a b/c.png",
        "percent%20.png",
        "100%.png",
        "hash#1.png",
        "why?.png",
        "plus+and&.png",
        "d//e.png",
        "quo\"te'.png",
        "é🐕.png",
        "dot./f.png",
    ]
    for seed, name in enumerate(good, 10):
        world.container.upload_blob(name, png(seed))
    bad = ["back\\slash.png", "up/../b.png", "here/./c.png"]
    world.between("source").fail(Edit(_with_names(bad)), when=lambda seen: "comp=list" in seen.path, times=None)
    swept = world.run("sweep", "--json")
    assert (swept.status, swept.err) == (0, "")
    assert (swept.json["classified"], swept.json["dead"]) == (len(IMAGES) + len(good), len(bad))
    (group,) = world.run("failures", "--json").json["failures"]
    assert group["failure_class"] == "name"
    assert {example["name"] for example in group["examples"]} == set(bad)
    for name in good:
        assert world.run("show", "--json", "--", name).json["name"] == name
    assert world.run("search", "--json").json["count"] == len(IMAGES) + len(good)
    assert world.run("audit", "--json").json["found"] == 0


def _with_names(names: list[str]) -> Callable[[int, dict[str, str], bytes], tuple[int, dict[str, str], bytes]]:
    """Return what makes the first blob of a listing appear under these names as well, in their places."""

    def change(status: int, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        blobs = re.findall(rb"<Blob>.*?</Blob>", body, re.DOTALL)
        made = [re.sub(rb"<Name>.*?</Name>", lambda _, n=name: f"<Name>{escape(n)}</Name>".encode(), blobs[0]) for name in names]
        ordered = sorted([*blobs, *made], key=lambda blob: unescape(re.search(r"<Name>(.*?)</Name>", blob.decode())[1]).encode())
        first, last = body.index(b"<Blob>"), body.rindex(b"</Blob>") + len(b"</Blob>")
        return status, headers, body[:first] + b"".join(ordered) + body[last:]

    return change
