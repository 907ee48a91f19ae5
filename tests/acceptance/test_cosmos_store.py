"""The command line with its results in Cosmos DB: folder, local model and local index stay as they are."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Desk
from tests.servers.cosmos import KEY, fresh

pytestmark = pytest.mark.servers


def test_a_sweep_keeps_its_results_in_cosmos_and_says_what_that_cost(desk: Desk, cosmos: str) -> None:
    settings = {"store": f"cosmos:{fresh(cosmos)}", "cosmos_key": KEY}
    for number in range(6):
        desk.photo(f"{number}.jpg", number)
    early = desk.run("sweep", **settings)
    assert early.status == 2
    assert "imagesweep index create" in early.err

    assert desk.run("index", "create", "--json", **settings).json["made"][1:] == ["records", "state"]
    assert desk.run("index", "create", "--json", **settings).json["made"] == []

    swept = desk.run("sweep", "--json", **settings)
    assert (swept.status, swept.json["classified"]) == (0, 6), swept.err
    assert swept.json["ru"] > 6
    again = desk.run("sweep", "--json", **settings).json
    assert (again["unchanged"], again["calls"]) == (6, 0)
    audit = desk.run("audit", "--json", **settings)
    assert audit.status == 0, audit.out + audit.err


def test_a_key_is_never_shown(desk: Desk) -> None:
    answer = desk.run("sweep", store="cosmos:http://127.0.0.1:9/images", cosmos_key=KEY)
    assert answer.status == 75
    assert KEY not in answer.out + answer.err
    assert "cannot be reached" in answer.err
