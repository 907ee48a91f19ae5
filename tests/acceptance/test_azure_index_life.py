"""A rebuild in the Azure profile beside a sweep: over Cosmos DB nothing keeps anything out, and nothing may be lost."""

from __future__ import annotations

import io
import time

import pytest

from tests.acceptance.azure_world import World, world
from tests.acceptance.conftest import Desk, picture

__all__ = ["world"]

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(120)]


def _upload(world: World, name: str, seed: int) -> None:
    data = io.BytesIO()
    picture(seed, (200, 150)).save(data, "PNG")
    world.container.upload_blob(name, data.getvalue())


def test_what_is_swept_while_the_index_is_rebuilt_is_in_both(world: World, desk: Desk) -> None:
    assert world.run("sweep").status == 0
    [old] = world.index.indexes
    rebuild = desk.start("index", "rebuild", "--json", **world.settings)
    while len(world.index.indexes) < 2:
        assert rebuild.poll() is None, rebuild.communicate()
        time.sleep(0.05)
    [fresh] = world.index.indexes.keys() - {old}
    time.sleep(1)  # the document is put by now, and the scan waits until every process reads it
    _upload(world, "late.png", 77)
    swept = world.run("sweep", "--json")
    assert (swept.status, swept.json["published"]) == (0, 1)
    names = {one: {document["name"] for document in index.stored.values()} for one, index in world.index.indexes.items()}
    assert names[old] == {"a.png", "b.png", "c.png", "late.png"}
    assert "late.png" in names[fresh]
    looked = world.run("index", "status")
    assert "a rebuild is under way" in looked.out

    out, err = rebuild.communicate(timeout=60)
    assert rebuild.returncode == 0, err
    assert '"switched": true' in out
    assert (set(world.index.indexes), set(world.index.aliases.values())) == ({fresh}, {fresh})
    status = world.run("index", "status", "--json").json
    assert (status["index"], status["rebuild"], status["left"]) == (fresh, None, [])
    assert [(one["documents"], one["records"], one["differ"]) for one in status["sources"]] == [(4, 4, 0)]


def test_sweeps_go_on_beside_what_a_killed_rebuild_left_and_another_waits_for_its_lease(world: World, desk: Desk) -> None:
    assert world.run("sweep").status == 0
    rebuild = desk.start("index", "rebuild", **world.settings)
    while len(world.index.indexes) < 2:
        assert rebuild.poll() is None, rebuild.communicate()
        time.sleep(0.05)
    time.sleep(1)
    rebuild.kill()
    rebuild.communicate()
    _upload(world, "late.png", 77)
    assert world.run("sweep").status == 0
    held = world.run("index", "rebuild")
    assert held.status == 75
    assert "index status" in held.err
    assert "a rebuild is under way" in world.run("index", "status").out
