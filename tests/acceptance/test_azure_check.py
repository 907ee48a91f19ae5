"""What `check` shows of a deployment in Azure that works, and of rights that end where a sweep would need them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.azure_world import World, world
from tests.servers.proxy import Answer as Said

__all__ = ["world"]

pytestmark = pytest.mark.servers


def _checked(world: World, *options: str) -> dict[str, Any]:
    """Return what is said of each part."""
    done = world.run("check", "--json", *options)
    assert done.status == (0 if done.json["ok"] else 2)
    assert done.json["ok"] == all(part["ok"] for part in done.json["parts"])
    return {part["part"]: part for part in done.json["parts"]}


def test_a_deployment_that_works_says_what_is_there_and_pays_nothing(world: World) -> None:
    parts = _checked(world)
    assert {name: part["ok"] for name, part in parts.items()} == dict.fromkeys(["source", "classifier", "store", "index"], True)
    assert "a.png" in parts["source"]["fact"]
    assert "caption, tags" in parts["classifier"]["fact"]
    assert "0 sources" in parts["store"]["fact"]
    assert "0 documents" in parts["index"]["fact"]
    assert not world.eyes.counts.paid

    assert "2023-10-01 answered" in _checked(world, "--pay")["classifier"]["fact"]
    assert sum(world.eyes.counts.paid.values()) == 1

    assert world.run("sweep").status == 0
    parts = _checked(world)
    assert "1 source;" in parts["store"]["fact"]
    assert "3 documents" in parts["index"]["fact"]


def test_what_people_read_is_one_fact_for_each_part(world: World) -> None:
    done = world.run("check")
    lines = done.out.splitlines()
    assert (done.status, len(lines), lines[-1]) == (0, 9, "4 parts, all is well.")
    world.settings["vision_key"] = "wrong"
    done = world.run("check")
    assert (done.status, done.out.splitlines()[-1]) == (2, "4 parts, 1 to be mended.")


def test_links_are_checked_where_ai_vision_is_to_read_by_them(world: World) -> None:
    world.settings["vision_send"] = "url"
    assert _checked(world)["links"]["ok"]
    world.settings["blob_key"] = "abc"
    assert not _checked(world)["links"]["ok"]


def test_an_identity_that_may_list_blobs_and_not_read_them(world: World) -> None:
    refused = Said(403, {"x-ms-error-code": "AuthorizationPermissionMismatch"})
    world.between("source").fail(refused, when=lambda seen: "comp=list" not in seen.path, times=None)
    assert "Storage Blob Data Reader" in _checked(world)["source"]["error"]["hint"]


def test_an_identity_that_may_read_results_and_not_write_them(world: World) -> None:
    world.between("store").fail(Said(403, {}, b"{}"), when=lambda seen: seen.method == "PUT", times=None)
    assert "Data Contributor" in _checked(world)["store"]["error"]["hint"]


def test_an_identity_that_may_publish_and_not_define_indexes_is_enough(world: World) -> None:
    world.settings["search_key"] = "contributor"
    assert _checked(world)["index"]["ok"]


def test_a_container_without_blobs(world: World) -> None:
    for blob in list(world.container.list_blob_names()):
        world.container.delete_blob(blob)
    assert "nothing is there yet" in _checked(world)["source"]["fact"]


def test_a_part_that_is_busy_for_a_moment_is_not_wrong(world: World) -> None:
    world.between("source").fail(Said(503, {"x-ms-error-code": "ServerBusy", "Retry-After": "0"}), times=2)
    assert _checked(world)["source"]["ok"]
