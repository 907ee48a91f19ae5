"""The gallery's pages and the search API: what they show, and what hostile values, names and callers cannot do."""

from __future__ import annotations

import csv
import io
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.model import Correction, Outcome, Record, Report
from jobs.plan import Part, Plan
from search.gallery import keys
from search.gallery.asking import DEEPEST, FRESH, Remembering
from search.gallery.similar import MOST_BYTES
from search.query import FACETS, Query, Results
from tests.conftest import Run
from tests.examples import NOON, record
from tests.fakes.index import MemoryIndex
from tests.gallery_kit import KEY, WEBP, Answer, Gallery, call, group
from tests.pictures import PHOTOS, picture

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}javascript:alert(1)"


def many(number: int) -> list[Record]:
    return [picture(f"{at:04}.jpg", ("dog", 0.9), ("red" if at % 2 else "blue", 0.5), caption="a dog") for at in range(number)]


class Page(HTMLParser):
    """What a page is made of: its tags with their attributes."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def links(self) -> list[str]:
        return [attributes.get("href") or "" for tag, attributes in self.tags if tag == "a"]

    def cards(self) -> list[str]:
        return [attributes["data-id"] or "" for tag, attributes in self.tags if tag == "a" and "data-id" in attributes]


def test_the_first_page_shows_images_facets_and_the_way_on(run: Run) -> None:
    answer = run(Gallery(many(130)).get("/"))
    page = Page(answer)
    assert answer.status == 200
    assert "130 images" in answer.text
    assert len(page.cards()) == 60
    assert "/?q=tag%3Ared" in page.links()
    assert "/?page=2" in page.links()


def test_pages_go_on_where_the_one_before_ends_and_know_the_way_back(run: Run) -> None:
    gallery = Gallery(many(130))
    seen = [card for at in ("1", "2", "3") for card in Page(run(gallery.get("/", q="dog", page=at))).cards()]
    assert len(seen) == len(set(seen)) == 130
    last = Page(run(gallery.get("/", q="dog", page="3")))
    assert "/?q=dog&page=2" in last.links()
    assert not any("page=4" in link for link in last.links())
    part = run(gallery.get("/", q="dog", page="3", part="1"))
    assert len(Page(part).cards()) == 10
    assert "<html" not in part.text


def test_every_active_filter_is_a_chip_that_takes_it_away(run: Run) -> None:
    answer = run(Gallery(many(9)).get("/", q='dog tag:red -cat sort:newest folder:""'))
    links = Page(answer).links()
    for without in ("tag%3Ared+-cat+sort", "dog+-cat+sort", "dog+tag%3Ared+sort"):
        assert any(without in link for link in links), without
    assert "<span>folder:&#34;&#34;</span>" in answer.text


def test_a_value_that_is_chosen_takes_itself_back_and_one_of_a_kind_takes_its_place(run: Run) -> None:
    images = [picture("a.jpg", ("dog", 0.9)), picture("b.png", ("dog", 0.9), format="PNG")]
    links = Page(run(Gallery(images).get("/", q="tag:dog format:jpeg"))).links()
    assert "/?q=format%3Ajpeg" in links
    assert "/?q=tag%3Adog" in links
    choices = Page(run(Gallery(images).get("/", q="format:gif,png"))).links()
    assert "/?q=format%3APNG" in choices


@pytest.mark.parametrize(("text", "said"), [("tga:x", "Did you mean tag:"), ('"', "never closed")])
def test_an_unclear_query_is_explained_where_it_is(run: Run, text: str, said: str) -> None:
    answer = run(Gallery([]).get("/", q=text))
    assert (answer.status, said in answer.text, "<mark>" in answer.text) == (400, True, True)
    told = run(Gallery([]).get("/api/search", q=text))
    assert told.status == 400
    assert {"kind", "cause", "hint", "start", "end"} == told.json["error"].keys()


def test_an_index_that_is_down_gives_a_page_that_says_so_and_the_rest_works(run: Run) -> None:
    gallery = Gallery(many(1), down=True)
    answer = run(gallery.get("/", q="dog"))
    assert (answer.status, "does not answer" in answer.text, 'value="dog"' in answer.text) == (503, True, True)
    assert run(gallery.get("/api/search")).status == 503
    assert run(gallery.get("/export.csv")).status == 503
    assert run(gallery.get(f"/images/{many(1)[0].id}")).status == 200
    assert run(gallery.get("/runs")).status == 200


def hostile() -> Record:
    made = picture(
        EVIL,
        (EVIL, 0.9),
        caption=EVIL,
        camera=EVIL,
        categories=(EVIL,),
        properties=((EVIL, EVIL),),
        text=(EVIL,),
        objects=(EVIL,),
        people=1,
        place=(1.0, 2.0),
        format=EVIL,
        colours=(EVIL,),
        classifier=EVIL,
    )
    assert made.analysis
    return replace(
        made,
        run_id=EVIL,
        content_hash=EVIL,
        group=EVIL,
        derived=EVIL,
        analysed=EVIL,
        analysis=replace(made.analysis, answered=EVIL),
    )


def assert_harmless(answer: Answer) -> None:
    """No value has become an element, an attribute or an address of its own."""
    page = Page(answer)
    for tag, attributes in page.tags:
        assert tag != "script" or (attributes.get("src") or "").startswith("/static/")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action"):
            assert (attributes.get(name) or "/").startswith(("/", "#")), attributes
    assert "49" not in [text.strip() for text in re.findall(r">([^<]*)<", answer.text)]


def test_hostile_values_are_only_text_on_every_page(run: Run) -> None:
    gallery = Gallery(
        [hostile()],
        key=KEY,
        runs=[Report(EVIL, EVIL, EVIL, EVIL, NOON, listed=1, dead=1, message=EVIL, cost=1.0)],
        groups=[group(EVIL, EVIL)],
    )
    pages = [
        run(gallery.get("/")),
        run(gallery.get("/", q="script")),
        run(gallery.get("/", q=EVIL)),
        run(gallery.get("/", q=f"tga:{EVIL}")),
        run(gallery.get("/", q=f'tag:"{EVIL.replace(chr(34), chr(92) + chr(34))}"')),
        run(gallery.get(f"/images/{hostile().id}", q=EVIL)),
        run(gallery.get("/runs")),
        run(gallery.get("/failures")),
        run(gallery.get(f"/{EVIL}")),
    ]
    assert [page.status for page in pages] == [200, 200, 200, 400, 200, 200, 200, 200, 404]
    for page in pages:
        assert_harmless(page)
    assert "alert(1)" in pages[5].text


@pytest.mark.parametrize("path", ["/", "/runs", "/api/search", "/static/gallery.js", "/nothing", f"/pictures/small/{'0' * 64}"])
def test_browsers_are_told_to_load_nothing_but_what_is_ours(run: Run, path: str) -> None:
    headers = run(Gallery([]).get(path)).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/small/../../etc/passwd",
        "/pictures/small/%2e%2e%2f%2e%2e",
        f"/pictures/huge/{'0' * 64}",
        f"/pictures/small/{'0' * 63}G",
        f"/pictures/small/{'0' * 65}",
        "/images/..",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2fpyproject.toml",
        "/templates/base.html",
        "/api/images/x",
    ],
)
def test_no_path_leads_out(run: Run, path: str) -> None:
    gallery = Gallery(many(1))
    assert run(gallery.get(path)).status == 404
    assert gallery.asked == []


def test_pictures_come_in_two_sizes_and_may_be_kept_for_ever(run: Run) -> None:
    gallery = Gallery([picture("a.jpg"), picture("gone.jpg"), picture("linked.jpg")])
    here, gone, linked = (one.id for one in gallery.records)
    small = run(gallery.get(f"/pictures/small/{here}"))
    assert (small.status, small.body, small.headers["content-type"]) == (200, WEBP, "image/webp")
    assert "immutable" in small.headers["cache-control"]
    run(gallery.get(f"/pictures/large/{here}"))
    assert gallery.shown == [("a.jpg", 400), ("a.jpg", 1600)]
    assert run(gallery.get(f"/pictures/small/{gone}")).status == 404
    away = run(gallery.get(f"/pictures/small/{linked}"))
    assert (away.status, away.headers["cache-control"]) == (302, "no-store")


def test_the_page_of_an_image_says_everything_and_why(run: Run) -> None:
    one = picture(
        "a/b.jpg",
        ("hot dog", 0.87),
        caption="lunch",
        text=("SALE",),
        objects=("bun",),
        people=1,
        place=(52.5, 13.4),
        camera="Canon",
    )
    text = run(Gallery([one]).get(f"/images/{one.id}", q="lunch")).text
    for said in (
        "hot dog",
        "87 %",
        "SALE",
        "Canon",
        "model 1",
        "fake:1",
        "a/b.jpg",
        PHOTOS,
        "bun 90%",
        "person 90%",
        "0,0 10,0 10,10 0,10",
    ):
        assert said in text, said
    assert "tag%3A%22hot%20dog%22" in text.replace("+", "%20")
    assert "near%3A52.50000%2C13.40000%2C5km" in text.replace("+", "%20")


def castles() -> list[Record]:
    return [
        picture("castle.jpg", sides=(2000, 1000), group="castle.jpg"),
        picture("castle-small.jpg", sides=(1000, 500), group="castle.jpg"),
        picture("harbour.jpg"),
    ]


def test_near_duplicates_are_hidden_by_a_link_whose_address_keeps_that(run: Run) -> None:
    gallery = Gallery(castles())
    everything = run(gallery.get("/"))
    assert "/?q=copies%3Ahide" in Page(everything).links()
    assert len(Page(everything).cards()) == 3
    hidden = run(gallery.get("/", q="copies:hide sort:name"))
    assert Page(hidden).cards() == [castles()[0].id, castles()[2].id]
    assert "/?q=sort%3Aname" in Page(hidden).links()
    assert "Show near-duplicates" in hidden.text
    assert Page(run(gallery.get("/", q="copies:only"))).cards() == [castles()[1].id]
    assert run(gallery.get("/api/search", q="copies:only")).json["results"][0]["copy"] is True
    (row,) = csv.DictReader(io.StringIO(run(gallery.get("/export.csv", q="copies:only")).text))
    assert row["group"] == castles()[0].id


def test_the_page_of_an_image_shows_its_near_duplicates(run: Run) -> None:
    large, small, alone = castles()
    answer = run(Gallery(castles()).get(f"/images/{small.id}"))
    assert f"/?q=group%3A{large.id}" in Page(answer).links()
    assert Page(answer).cards() == [large.id]
    assert "another one is larger" in answer.text
    assert "The largest of them" in run(Gallery(castles()).get(f"/images/{large.id}")).text
    assert "Near-duplicates" not in run(Gallery(castles()).get(f"/images/{alone.id}")).text
    shown = run(Gallery(castles()).get("/", q=f"group:{large.id}"))
    assert Page(shown).cards() == [small.id, large.id]
    down = run(Gallery(castles(), down=True).get(f"/images/{small.id}"))
    assert (down.status, Page(down).cards(), "Near-duplicates" in down.text) == (200, [], True)


def test_an_image_without_an_analysis_has_a_page_too(run: Run) -> None:
    waiting = replace(group("truncated").examples[0], outcome=Outcome.DEFERRED)
    answer = run(Gallery([waiting, record("claimed.jpg")]).get(f"/images/{waiting.id}"))
    assert (answer.status, "truncated" in answer.text) == (200, True)
    assert run(Gallery([record("claimed.jpg")]).get(f"/images/{record('claimed.jpg').id}")).status == 200


def test_the_api_pages_by_cursor_through_everything_once(run: Run) -> None:
    gallery, cursor, names = Gallery(many(25)), "", []
    while cursor is not None:
        answer = run(gallery.get("/api/search", q="dog", limit="10", **({"cursor": cursor} if cursor else {}))).json
        assert answer["count"] == 25
        names += [hit["name"] for hit in answer["results"]]
        cursor = answer["next"]
    assert sorted(names) == [one.name for one in many(25)]


@pytest.mark.parametrize(
    "asked",
    [
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "x"},
        {"limit": "²"},
        {"cursor": "!"},
        {"cursor": "cGFnZSAw"},
        {"facets": "nothing"},
        {"cursor": "cGFnZSA5OTk5OQ"},
    ],
)
def test_the_api_refuses_what_makes_no_sense(run: Run, asked: dict[str, str]) -> None:
    answer = run(Gallery(many(3)).get("/api/search", **asked))
    assert answer.status == 400
    assert answer.json["error"]["cause"]


def test_pages_too_deep_are_refused(run: Run) -> None:
    answer = run(Gallery(many(3)).get("/", page=str(DEEPEST // 60 + 1)))
    assert answer.status == 400
    assert "100,000" in answer.text


def test_the_api_counts_the_facets_that_it_is_asked_for(run: Run) -> None:
    answer = run(Gallery(many(3)).get("/api/search", facets=",".join(FACETS))).json
    assert answer["facets"].keys() == set(FACETS)
    assert answer["facets"]["tags"][0] == {"value": "dog", "count": 3}


def test_the_api_shows_one_image_without_its_vector(run: Run) -> None:
    one = picture("a.jpg", ("dog", 0.9))
    assert one.analysis
    one = replace(one, version="secret", analysis=replace(one.analysis, embedding=b"1234"))
    answer = run(Gallery([one]).get(f"/api/images/{one.id}"))
    assert answer.json["analysis"]["tags"] == [{"name": "dog", "confidence": 0.9}]
    assert answer.json["analysis"]["embedding"] is None
    assert answer.json["version"] is None
    assert run(Gallery([]).get(f"/api/images/{one.id}")).json["error"]["kind"] == "NotFound"


def resolved(schema: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def test_the_api_describes_itself_as_it_is(run: Run) -> None:
    gallery = Gallery(many(3))
    whole = run(gallery.get("/api/openapi.json")).json
    assert whole["openapi"].startswith("3.1")
    for path, asked in (("/api/search", {"q": "dog"}), ("/api/suggest", {"q": "do"}), (f"/api/images/{gallery.records[0].id}", {})):
        described = whole["paths"]["/api/images/{id}" if "images" in path else path]["get"]
        schema = resolved(described["responses"]["200"]["content"]["application/json"]["schema"], whole)
        assert run(gallery.get(path, **asked)).json.keys() == schema["properties"].keys()
    hit = resolved(
        resolved(whole["paths"]["/api/search"]["get"]["responses"]["200"]["content"]["application/json"]["schema"], whole)[
            "properties"
        ]["results"]["items"],
        whole,
    )
    assert run(gallery.get("/api/search")).json["results"][0].keys() == hit["properties"].keys()


def test_suggestions_complete_the_last_clause(run: Run) -> None:
    images = [picture("a.jpg", ("hot dog", 0.9), ("dog", 0.8), categories=("doghouse",)), picture("b.jpg", ("dog", 0.9))]

    def texts(q: str) -> list[str]:
        return [one["text"] for one in run(Gallery(images).get("/api/suggest", q=q)).json["suggestions"]]

    assert texts("cat do") == ["cat tag:dog ", "cat category:doghouse ", 'cat tag:"hot dog" ']
    assert texts("-tag:ho") == ['-tag:"hot dog" ']
    assert texts('tag:"hot d') == ['tag:"hot dog" ']
    assert texts("format:") == ["format:JPEG "]
    assert "category:" in texts("cate")
    assert texts("") == []
    assert texts("size:") == []


@given(st.text(max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_has_suggestions_or_none(run: Run, text: str) -> None:
    encodable = text.encode("utf-8", "ignore").decode()
    assert run(Gallery(many(2)).get("/api/suggest", q=encodable)).status == 200


def test_the_result_is_exported_and_no_cell_is_a_formula(run: Run) -> None:
    images = [*many(3), picture("=HYPERLINK(1).jpg", ("dog", 0.9), caption="+1"), picture("cat.jpg", ("cat", 0.9))]
    answer = run(Gallery(images).get("/export.csv", q="tag:dog"))
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 4
    assert {row["name"] for row in rows if row["tags"] == "dog"} == {"'=HYPERLINK(1).jpg"}
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    assert run(Gallery(images).get("/export.csv", q="nothing")).text.startswith("id,source,name")


def test_the_plan_says_what_is_ahead_and_escapes_what_it_shows(run: Run) -> None:
    ahead = Plan(EVIL, listed=12_000, new=11_000, unchanged=1_000, calls=11_000, cost=22.5, seconds=7_300.0, prices="of today")
    ahead.by_prefix = {f"{at:03}{EVIL}/": Part(new=1) for at in range(60)}
    page = run(Gallery(many(1), plans=[ahead]).get("/plan")).text
    for said in ("11,000 calls", "22.50", "about 2 hours", "12,000", "and 10 more places", "of today"):
        assert said in page
    assert "<script>alert" not in page
    assert "Nothing is to be classified" in run(Gallery(many(1), plans=[Plan("folder:/a")]).get("/plan")).text


def test_a_plan_that_cannot_be_made_says_why(run: Run) -> None:
    answer = run(Gallery(many(1), down=True).get("/plan"))
    assert answer.status == 503
    assert "it does not answer" in answer.text


def test_the_result_is_exported_as_parquet(run: Run) -> None:
    answer = run(Gallery([*many(3), picture("cat.jpg", ("cat", 0.9))]).get("/export.parquet", q="tag:dog"))
    frame = pd.read_parquet(io.BytesIO(answer.body))
    assert [tags.split("; ")[0] for tags in frame["tags"]] == ["dog"] * 3
    assert frame["bytes"].dtype == "int64"


def test_parquet_without_its_library_says_what_to_do_and_is_not_offered(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = Gallery(many(1))
    assert "/export.parquet" in run(gallery.get("/")).text
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("search.gallery.web.find_spec", lambda _: None)
    assert "/export.parquet" not in run(gallery.get("/")).text
    answer = run(gallery.get("/export.parquet"))
    assert answer.status == 503
    assert "extra `parquet`" in answer.text


async def signed_in(gallery: Gallery) -> tuple[dict[str, str], str]:
    """Return the headers of whoever showed the key, and what forms have to send."""
    answer = await gallery.post("/key", key=KEY)
    assert answer.status == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    headers = {"cookie": cookie.partition(";")[0]}
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', (await gallery.get("/failures", headers)).text)
    assert found
    return headers, found[1]


def test_whoever_showed_the_key_may_try_again(run: Run) -> None:
    gallery = Gallery([], key=KEY, groups=[group("truncated")])
    headers, csrf = run(signed_in(gallery))
    answer = run(gallery.post("/failures", headers | {"origin": "http://localhost"}, csrf=csrf, **{"class": "truncated"}))
    assert (answer.status, gallery.redriven) == (200, ["truncated"])
    assert "3 classified" in answer.text


@pytest.mark.parametrize(
    "case", ["no cookie", "no csrf", "wrong csrf", "other origin", "cross site", "forged cookie", "old cookie", "no key set"]
)
def test_nobody_else_may(run: Run, case: str) -> None:
    gallery = Gallery([], key=KEY, groups=[group("truncated")])
    headers, csrf = run(signed_in(gallery))
    changes: dict[str, dict[str, str]] = {
        "no cookie": {"cookie": ""},
        "other origin": {"origin": "http://evil.example"},
        "cross site": {"sec-fetch-site": "cross-site"},
        "forged cookie": {"cookie": f"imagesweep_key=99999999999.x.{'0' * 64}"},
        "old cookie": {"cookie": f"imagesweep_key=1.x.{keys._mac(KEY, '1.x')}"},
    }
    if case == "old cookie":
        csrf = keys._mac(KEY, f"form 1.x.{keys._mac(KEY, '1.x')}")
    sent = {"no csrf": {}, "wrong csrf": {"csrf": "0" * 64}}.get(case, {"csrf": csrf})
    if case == "no key set":
        gallery = Gallery([], groups=[group("truncated")])
    answer = run(gallery.post("/failures", headers | changes.get(case, {}), **sent, **{"class": "truncated"}))
    assert (answer.status, gallery.redriven) == (403, [])


def test_programs_show_the_key_in_a_header(run: Run) -> None:
    gallery = Gallery([], key=KEY, groups=[])
    assert run(gallery.post("/failures", {"authorization": f"Bearer {KEY}"}, **{"class": "truncated"})).status == 200
    assert run(gallery.post("/failures", {"authorization": "Bearer wrong"}, **{"class": "truncated"})).status == 403
    assert gallery.redriven == ["truncated"]


def test_a_wrong_key_gives_nothing(run: Run) -> None:
    gallery = Gallery([], key=KEY)
    answer = run(gallery.post("/key", key="wrong"))
    assert (answer.status, "set-cookie" in answer.headers) == (403, False)
    assert run(Gallery([]).post("/key", key="")).status == 200
    assert run(gallery.post("/key", key="x" * 100_000)).status == 403


def test_nothing_can_be_changed_without_a_key_that_is_set(run: Run) -> None:
    gallery = Gallery([], groups=[group("truncated")])
    assert "<form method" not in run(gallery.get("/failures")).text
    assert run(gallery.post("/failures", {"authorization": "Bearer "}, **{"class": "truncated"})).status == 403


def test_runs_are_drawn_and_listed(run: Run) -> None:
    reports = [
        Report(f"r{at}", "sweep", PHOTOS, "complete", NOON, listed=10, classified=7, dead=3, images_per_second=5.0)
        for at in range(3)
    ]
    text = run(Gallery([], runs=reports).get("/runs")).text
    assert text.count('class="k-classified"') == 4
    assert "r2: 3 dead" in text
    assert "Nothing has run yet" in run(Gallery([]).get("/runs")).text


def test_counts_over_everything_are_kept_for_some_seconds_and_nothing_else(run: Run) -> None:
    now, asked = [0.0], []

    class Counting(MemoryIndex):
        async def search(self, query: Query) -> Results:
            asked.append(query)
            return await super().search(query)

    searcher = Remembering(Counting(), lambda: now[0])
    for _ in range(2):
        run(searcher.search(Query()))
    assert len(asked) == 1
    now[0] = FRESH + 0.01
    run(searcher.search(Query()))
    assert len(asked) == 2
    for _ in range(2):
        run(searcher.search(Query("dog")))
    assert len(asked) == 4


def alike() -> list[Record]:
    """Return four images, of which one has no vector."""
    made = []
    for name, numbers in {"a.jpg": [1, 0], "b.jpg": [0.9, 0.1], "c.jpg": [0, 1], "d.jpg": None}.items():
        one = picture(name, ("dog" if name < "c" else "cat", 0.9))
        assert one.analysis
        embedding = np.array(numbers, "<f4").tobytes() if numbers else None
        made.append(replace(one, analysis=replace(one.analysis, embedding=embedding)))
    return made


def test_more_like_an_image_is_shown_without_itself_and_narrowed_down(run: Run) -> None:
    gallery = Gallery(alike())
    a, b, c, d = (one.id for one in gallery.records)
    assert Page(run(gallery.get(f"/images/{a}/like"))).cards() == [b, c]
    assert Page(run(gallery.get(f"/images/{a}/like", q="tag:cat"))).cards() == [c]
    assert Page(run(gallery.get(f"/images/{c}/like", part="1"))).cards() == [b, a]
    assert "has no vector" in run(gallery.get(f"/images/{d}/like")).text
    assert run(gallery.get(f"/images/{a}/like", q="tga:x")).status == 400
    assert run(Gallery(alike(), down=True).get(f"/images/{a}/like")).status == 503
    assert run(Gallery(alike(), down=True).get(f"/images/{a}/like", part="1")).status == 200


def test_what_is_like_a_picture_of_ones_own_has_an_address(run: Run) -> None:
    gallery = Gallery(alike())

    def sent(body: bytes, **headers: str) -> Answer:
        return run(call(gallery.app, "POST", "/like", body=body, headers={"accept": "application/json", **headers}))

    href = sent(b"vector 0 1").json["href"]
    assert Page(run(gallery.get(href))).cards()[0] == gallery.records[2].id
    assert "Upload it again" in run(gallery.get(f"/like/{'0' * 64}")).text
    assert (sent(b"no picture").status, "not those of an image" in sent(b"no picture").text) == (400, True)
    assert sent(b"vector 0 1", origin="http://evil.example").status == 403
    assert sent(b"v" * (MOST_BYTES + 1)).status == 400


def test_whoever_showed_the_key_may_say_something_of_labels(run: Run) -> None:
    one = picture("a.jpg", ("dog", 0.9), ("cat", 0.5), ("bird", 0.4))
    corrections = (
        Correction("dog", "removed", "h", NOON, EVIL),
        Correction("puppy", "added", "h", NOON),
        Correction("cat", "removed", "x", NOON),
    )
    one = replace(one, content_hash="h", corrections=corrections)
    gallery = Gallery([one], key=KEY, groups=[group("truncated")])
    headers, csrf = run(signed_in(gallery))
    stranger, editor = (run(gallery.get(f"/images/{one.id}", given)) for given in ({}, headers))
    assert "<del>dog</del>" in stranger.text
    assert "puppy</a> <span" in stranger.text
    assert "<del>cat</del>" not in stranger.text
    assert "/labels" not in stranger.text
    assert editor.text.count("/labels") == 5
    assert_harmless(editor)
    answer = run(gallery.post(f"/images/{one.id}/labels", headers, csrf=csrf, label="cat", says="removed"))
    assert (answer.status, answer.headers["location"]) == (303, f"/images/{one.id}")
    run(gallery.post(f"/images/{one.id}/labels", headers, csrf=csrf, label="dog", says="undo"))
    assert gallery.said == [(one.id, "cat", "removed"), (one.id, "dog", None)]
    assert run(gallery.post(f"/images/{one.id}/labels", headers, csrf=csrf, label="", says="added")).status == 400
    for sent in ({"says": "removed"}, {"csrf": csrf, "says": "x"}):
        assert run(gallery.post(f"/images/{one.id}/labels", headers, label="cat", **sent)).status == 403
    assert run(gallery.post(f"/images/{one.id}/labels", csrf=csrf, label="cat", says="removed")).status == 403
    assert len(gallery.said) == 2
