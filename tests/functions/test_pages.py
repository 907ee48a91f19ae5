"""The gallery behind its function, through the runtime."""

from __future__ import annotations

import json
import re

import pytest

from tests.functions.conftest import Yard
from tests.functions.host import Http
from tests.unit.vision_kit import photo

BASE = "https://app.example/api/gallery"


@pytest.fixture(autouse=True)
def swept(yard: Yard) -> None:
    for number in range(3):
        (yard.home / "photos" / f"dog {number}.jpg").write_bytes(photo(number))
    yard.run(yard.host.timer("nightly_sweep"))


def visit(yard: Yard, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Http:
    return yard.run(yard.host.http("gallery", method, f"{BASE}{path}", body=body, **headers))


@pytest.mark.parametrize("path", ["", "/", "/?q=dog"])
def test_the_gallery_is_at_its_route_and_all_its_links_stay_there(yard: Yard, path: str) -> None:
    answer = visit(yard, path)
    page = answer.body.decode()
    assert answer.status == 200, page
    assert "text/html" in {name.lower(): value for name, value in answer.headers.items()}["content-type"]
    links = re.findall(r'(?:href|src|action)="(/[^"]*)"', page)
    assert links
    assert all(link.startswith("/api/gallery/") for link in links), links
    assert page.count("dog ") >= 3


def test_every_link_of_the_first_page_leads_somewhere(yard: Yard) -> None:
    page = visit(yard, "/").body.decode()
    links = {link.replace("&amp;", "&") for link in re.findall(r'(?:href|src)="(/[^"]*)"', page)}
    for link in links:
        answer = yard.run(yard.host.http("gallery", "GET", f"https://app.example{link}"))
        assert answer.status == 200, link


def test_programs_search_by_the_api(yard: Yard) -> None:
    found = json.loads(visit(yard, "/api/search?q=in:dog").body)
    assert {hit["name"] for hit in found["results"]} == {"dog 0.jpg", "dog 1.jpg", "dog 2.jpg"}


def test_it_is_read_only_without_a_key(yard: Yard) -> None:
    answer = visit(yard, "/failures", "POST", b"class=timeout", content_type="application/x-www-form-urlencoded")
    assert answer.status == 403
    assert b"IMAGESWEEP_GALLERY_KEY" in answer.body


def test_strangers_are_refused_where_app_service_lets_people_in(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESWEEP_HTTP_AUTH", "entra")
    assert visit(yard, "/").status == 503
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "True")
    assert visit(yard, "/").status == 401
    assert visit(yard, "/", x_ms_client_principal_id="somebody").status == 200
