"""The workflow without code against Azurite and the stand-ins: what it does, what it says of failures, and mistakes in it."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from azure.storage.blob.aio import ContainerClient

from tests.conftest import Run
from tests.functions.azure import fill
from tests.functions.test_azure import photo
from tests.logicapp.conftest import ALERTS, FOLDER, definition, parameters
from tests.logicapp.expressions import Mistake
from tests.logicapp.interpreter import Request, Response, Workflow
from tests.logicapp.interpreter import Run as WorkflowRun
from tests.servers import azurite
from tests.standins import search, vision
from tests.standins.serve import served

pytestmark = pytest.mark.servers
RUNTIME = "https://connection.test/apim/documentdb"
INDEX = json.loads((FOLDER / "no-code-sweep/index.json").read_text())
NAMES = ["a.jpg", "b c.jpg", "été/50% #1 a+b.jpg"]


@dataclass(slots=True)
class Place:
    """A container with the services around it; the identity's token is turned into what each of them takes."""

    run: Run
    container: str
    endpoint: str
    vision_url: str
    search_url: str
    eyes: vision.VisionStandin
    service: search.SearchService
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    alerts: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, request: Request) -> Response:
        """Let a request through to where it is meant for."""
        if request.uri == ALERTS:
            self.alerts.append(json.loads(request.body))
            return Response(200, {}, b"")
        if request.uri.startswith(RUNTIME):
            return self._store(request)
        keys = {
            "https://storage.azure.com/": {},
            "https://cognitiveservices.azure.com/": {"Ocp-Apim-Subscription-Key": vision.KEY},
            "https://search.azure.com/": {"api-key": "admin"},
        }
        headers = {**request.headers, **keys[request.audience or ""]}
        async with aiohttp.ClientSession() as session:
            url = aiohttp.client.URL(request.uri, encoded=True)
            async with session.request(request.method, url, headers=headers, data=request.body or None) as answer:
                return Response(answer.status, dict(answer.headers), await answer.read())

    def _store(self, request: Request) -> Response:
        assert request.uri == f"{RUNTIME}/v2/cosmosdb/ACCOUNT/dbs/images/colls/no-code/docs"
        item = json.loads(request.body)
        assert json.loads(request.headers["x-ms-documentdb-raw-partitionkey"]) == item["id"]
        assert json.loads(request.headers["x-ms-documentdb-is-upsert"]) is True
        self.items[item["id"]] = item
        return Response(201, {"Content-Type": "application/json"}, b"{}")

    def sweep(self, workflow: Mapping[str, Any]) -> WorkflowRun:
        """Run the workflow once."""
        values = {
            "containerUrl": f"{self.endpoint}/{self.container}",
            "visionUrl": self.vision_url,
            "searchUrl": self.search_url,
            "cosmosAccount": "ACCOUNT",
            "alertUrl": ALERTS,
        }
        deployed = Workflow(workflow, parameters(**values), self.send, connections={"documentdb": RUNTIME})
        return self.run(deployed.run())

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return what the index has, by name."""
        return {one["name"]: one for one in self.service.indexes[INDEX["name"]].stored.values()}

    def paid(self) -> Counter[str]:
        return self.eyes.counts.paid


@pytest.fixture
def place(run: Run, azurite_endpoint: str, request: pytest.FixtureRequest) -> Iterator[Place]:
    container = f"nocode-{abs(hash(request.node.nodeid))}"
    eyes, service = vision.VisionStandin(fast=True), search.SearchService()
    run(fill(azurite_endpoint, container, {name: photo(n) for n, name in enumerate(NAMES)}))
    with served(eyes) as vision_url, served(search.app(service)) as search_url:
        found = Place(run, container, azurite_endpoint, vision_url, search_url, eyes, service)
        run(_make_index(found))
        yield found


async def _make_index(place: Place) -> None:
    made = await place.send(
        Request(
            "PUT",
            f"{place.search_url}/indexes('{INDEX['name']}')?api-version=2026-04-01",
            {"Content-Type": "application/json", "Prefer": "return=representation"},
            json.dumps(INDEX).encode(),
            "https://search.azure.com/",
        )
    )
    assert made.status == 201, made.body


def it_is_proved(place: Place, workflow: dict[str, Any]) -> None:
    """Hold a definition to all that no-code-sweep promises, with pages of two. Raises Mistake or AssertionError."""
    workflow = json.loads(json.dumps(workflow).replace("maxresults=500", "maxresults=2"))
    run = place.sweep(workflow)
    assert (run.status, place.alerts) == ("Succeeded", []), run.variables
    documents = place.documents()
    assert set(documents) == set(NAMES)
    assert all(one["tags"] and one["caption"] and one["etag"] for one in documents.values())
    assert {item["name"]: item["etag"] for item in place.items.values()} == {name: one["etag"] for name, one in documents.items()}
    assert all(item["analysis"]["tagsResult"]["values"] for item in place.items.values())
    assert set(place.paid().values()) == {1}

    assert place.sweep(workflow).status == "Succeeded"
    assert sum(place.paid().values()) == 3, "what is known is not paid for again"

    place.run(fill(place.endpoint, place.container, {NAMES[1]: photo(77)}))
    assert place.sweep(workflow).status == "Succeeded"
    assert sum(place.paid().values()) == 4, "what was overwritten is"
    assert place.documents()[NAMES[1]]["etag"] != documents[NAMES[1]]["etag"]

    place.run(fill(place.endpoint, place.container, {"bad.jpg": b"bad", "good.jpg": photo(78)}))
    run = place.sweep(workflow)
    assert (run.status, run.error and run.error["code"]) == ("Failed", "SweepNotWell")
    assert [(one["failed"], [failure["name"] for failure in one["failures"]]) for one in place.alerts] == [(1, ["bad.jpg"])]
    assert "good.jpg" in place.documents(), "one bad image does not stop the others"
    place.run(_delete(place, "bad.jpg"))

    place.alerts.clear()
    place.run(fill(place.endpoint, place.container, {"last.jpg": photo(79)}))
    place.service.documents["b" + _key("last.jpg")] = [(400, "it is refused")]
    run = place.sweep(workflow)
    assert run.status == "Failed"
    assert [one["failures"] for one in place.alerts] == [[{"name": "last.jpg", "reason": "it is refused"}]]


def _key(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


async def _delete(place: Place, name: str) -> None:
    who = {"account_name": azurite.ACCOUNT, "account_key": azurite.KEY}
    async with ContainerClient(place.endpoint, place.container, credential=who) as client:
        await client.delete_blob(name)


def test_a_small_catalog_is_swept_without_code(place: Place) -> None:
    it_is_proved(place, definition("no-code-sweep"))


def test_what_a_limit_cuts_off_is_told(place: Place) -> None:
    workflow = json.loads(json.dumps(definition("no-code-sweep")).replace("maxresults=500", "maxresults=1"))
    workflow["actions"]["Until_all_pages_are_done"]["limit"]["count"] = 2
    run = place.sweep(workflow)
    assert (run.status, len(place.documents())) == ("Failed", 2)


def test_an_index_that_does_not_answer_costs_nothing(place: Place) -> None:
    place.service.faults += [search.Fault(503) for _ in range(60)]
    run = place.sweep(definition("no-code-sweep"))
    assert run.status == "Failed"
    assert sum(place.paid().values()) == 0


def test_an_image_that_fails_where_nobody_looks_fails_the_run(place: Place) -> None:
    workflow = definition("no-code-sweep")
    each = workflow["actions"]["Until_all_pages_are_done"]["actions"]["For_each_blob"]["actions"]
    each["Key"]["inputs"] = "@{concat(outputs('Name')['part'])}"
    run = place.sweep(workflow)
    assert run.status == "Failed"
    assert [one["reason"] for one in place.alerts[0]["failures"]] == ["A page failed in a way that names no image."]


PAGES = "actions/Until_all_pages_are_done"
EACH = f"{PAGES}/actions/For_each_blob/actions"
NEW = f"{EACH}/Is_it_to_be_classified"
MISTAKES: dict[str, tuple[str, Any]] = {
    "another element of the listing": (f"{PAGES}/actions/For_each_blob/foreach", "@xpath(xml(body('List_blobs')), '/Blobs/Blob')"),
    "content that is not read as XML": (f"{EACH}/Name/inputs", "@{xpath(items('For_each_blob'), 'string(/Blob/Name)')}"),
    "a key that is not legal": (f"{EACH}/Key/inputs", "@{outputs('Name')}"),
    "no look-up": (f"{NEW}/expression", "@true"),
    "a look-up that may not fail": (f"{NEW}/runAfter/Look_up", ["Succeeded"]),
    "a name that is not encoded": (
        f"{NEW}/actions/Read_the_image/inputs/uri", "@{parameters('containerUrl')}/@{outputs('Name')}"),
    "a read of whatever is there": (f"{NEW}/actions/Read_the_image/inputs/headers/If-Match", '"nonsense"'),
    "another connection": (f"{NEW}/actions/Store_the_answer/inputs/host/connection/referenceName", "cosmos"),
    "an at sign that is not doubled": (f"{NEW}/actions/Publish_the_answer/inputs/body", {"value": [{"@search.action": "upload"}]}),
    "a publish that is not judged": (f"{NEW}/actions/Was_it_taken/expression", "@true"),
    "a failure that is not noted": (f"{NEW}/actions/Note_the_failure", None),
    "an order that is lost": (f"{NEW}/actions/Publish_the_answer/runAfter", {}),
    "too many at once": (f"{PAGES}/actions/For_each_blob/runtimeConfiguration/concurrency/repetitions", 51),
    "a failed image that ends it all": (f"{PAGES}/actions/Go_on_to_the_next_page/runAfter/Did_it_fail_unnoticed", ["Failed"]),
    "a judgement before the end": ("actions/Is_all_well/runAfter", {"Nothing_failed_yet": ["Succeeded"]}),
    "a variable that is none": (f"{PAGES}/expression", "@equals(variables('next'), '')"),
    "a terminate in a loop": (f"{EACH}/Stop", {"type": "Terminate", "inputs": {"runStatus": "Failed"}, "runAfter": {}}),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_it_is_caught(place: Place, mistake: str) -> None:
    path, value = MISTAKES[mistake]
    workflow = deepcopy(definition("no-code-sweep"))
    node = workflow
    *way, last = path.split("/")
    for step in way:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    with pytest.raises((Mistake, AssertionError)):
        it_is_proved(place, workflow)
