"""The whole way through the gallery in real Chromium, at desktop and phone width."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.acceptance.conftest import SAMPLES
from tests.browser.conftest import KEY, MARKED, WIDTHS, Visit

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_quiet(visit: Visit, width: str, scheme: str) -> None:
    seen = visit(width, scheme=scheme)
    for name, path in {
        "all": "/",
        "found": "/?q=tag:building -sky",
        "runs": "/runs",
        "failures": "/failures",
        "plan": "/plan",
        "key": "/key",
    }.items():
        seen.go(path)
        seen.shot(name)
        seen.check()
        assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the screen"
    seen.go("/?q=dog")
    seen.page.locator(".card a").first.click()
    seen.page.wait_for_load_state("networkidle")
    seen.shot("image")
    seen.check()


@pytest.mark.parametrize("width", WIDTHS)
def test_one_types_picks_a_suggestion_filters_and_opens(visit: Visit, width: str) -> None:
    seen = visit(width)
    page = seen.page
    seen.go("/")
    page.keyboard.press("/")
    page.keyboard.type("cast")
    option = page.get_by_role("option", name="tag:castle")
    expect(option).to_be_visible()
    seen.shot("suggestions")
    seen.check()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option").first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=tag*")
    number = page.locator(".card").count()
    assert 0 < number < 30
    if width == "phone":
        page.get_by_text("Narrow down").click()
    page.locator(".facet a:not(.chosen)").first.click()
    page.wait_for_load_state("networkidle")
    expect(page.locator(".chips li")).to_have_count(3)
    seen.shot("filtered")
    page.go_back()
    expect(page.locator(".chips li")).to_have_count(1)
    page.locator(".chips a").first.click()
    expect(page.locator("h1")).to_have_text(re.compile(r"1\d\d images"))


def test_scrolling_brings_more_and_the_address_names_the_place(visit: Visit) -> None:
    seen = visit()
    page = seen.page
    seen.go("/?q=sort:name")
    assert page.locator(".card").count() <= 60
    last = page.locator(".card").last
    last.scroll_into_view_if_needed()
    expect(page.locator(".card")).to_have_count(113)
    page.locator(".card").last.scroll_into_view_if_needed()
    expect(page).to_have_url(re.compile("page=2"))
    expect(page.locator(".more")).to_have_count(0)
    ids = page.locator(".card a").evaluate_all("links => links.map(link => link.dataset.id)")
    assert len(ids) == len(set(ids)) == 113
    page.reload()
    assert page.locator(".card a").first.get_attribute("data-id") == ids[60]
    page.get_by_text("Earlier images").click()
    page.wait_for_load_state("networkidle")
    assert page.locator(".card a").first.get_attribute("data-id") == ids[0]


def test_the_keyboard_is_enough(visit: Visit) -> None:
    seen = visit()
    page = seen.page
    seen.go("/?q=animal")

    def focused() -> int:
        found: int = page.evaluate("[...document.querySelectorAll('.card a')].indexOf(document.activeElement)")
        return found

    page.keyboard.press("ArrowDown")
    assert focused() == 0
    page.keyboard.press("ArrowRight")
    assert focused() == 1
    page.keyboard.press("ArrowDown")
    below = focused()
    assert below > 1
    page.keyboard.press("ArrowUp")
    assert focused() < below
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.wait_for_url("**/images/*")
    first = page.url
    expect(page.locator("#after")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page).not_to_have_url(first)
    expect(page.locator("#before")).to_be_visible()  # the script of the new page has run
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(first)
    page.keyboard.press("Escape")
    page.wait_for_url("**/?q=animal")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") != "q"


@pytest.mark.parametrize("width", WIDTHS)
def test_boxes_lie_over_the_picture_and_can_be_hidden(visit: Visit, width: str) -> None:
    seen = visit(width)
    page = seen.page
    seen.go(f"/?q=in:{MARKED}")
    page.locator(".card a").click()
    page.wait_for_load_state("networkidle")
    picture, marks = page.locator(".stage img"), page.locator(".marks")
    assert page.evaluate("document.querySelector('.stage img').naturalWidth") == 1024
    under = picture.bounding_box()
    assert under
    over = marks.locator("polygon").first.evaluate(
        "p => { const b = p.getBBox(), m = p.getScreenCTM();"
        " return [b.x * m.a + m.e, b.y * m.d + m.f, b.width * m.a, b.height * m.d]; }"
    )
    scale = under["width"] / 1024
    there = [under["x"] + 40 * scale, under["y"] + 100 * scale, 660 * scale, 560 * scale]
    assert over == pytest.approx(there, abs=1.5)
    expect(page.locator(".legend")).to_contain_text("BEWARE")
    seen.shot("boxes")
    page.get_by_label("Show what was found where").uncheck()
    expect(marks).to_be_hidden()
    page.get_by_text("Raw answer").click()
    expect(page.locator("pre")).to_contain_text('"answered"')
    seen.check()


def test_the_result_can_be_taken_away_as_a_table(visit: Visit, tmp_path: Path) -> None:
    seen = visit()
    seen.go("/?q=tag:dog")
    number = seen.page.locator(".card").count()
    seen.page.get_by_text("Export").click()
    with seen.page.expect_download() as download:
        seen.page.get_by_role("link", name="CSV").click()
    download.value.save_as(tmp_path / "images.csv")
    with (tmp_path / "images.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == number
    assert all("dog" in row["tags"] for row in rows)


def test_failures_are_tried_again_by_whoever_has_the_key(visit: Visit) -> None:
    seen = visit()
    page = seen.page
    seen.go("/failures")
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    page.get_by_role("link", name="Sign in with the key").click()
    page.get_by_label("The key of this gallery").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Failures").click()
    page.get_by_role("button", name="Try again").first.click()
    expect(page.get_by_role("status")).to_contain_text("again", timeout=40_000)
    seen.shot("tried-again")
    seen.check()
    page.get_by_role("link", name="Runs").click()
    expect(page.get_by_role("cell", name="redrive")).to_be_visible()


def test_pages_work_without_scripts(visit: Visit) -> None:
    seen = visit()
    context = seen.page.context.browser
    assert context
    page = context.new_context(java_script_enabled=False).new_page()
    page.goto(seen.site.address + "/")
    page.get_by_role("combobox").fill("tag:dog")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".chips li")).to_have_count(1)
    page.goto(seen.site.address + "/")
    page.get_by_role("link", name="More images").click()
    expect(page).to_have_url(re.compile("page=2"))
    page.context.close()


def test_one_finds_more_like_an_image_and_like_a_picture_of_ones_own(visit: Visit) -> None:
    seen = visit()
    page = seen.page
    seen.go(f"/?q=in:{MARKED}")
    page.locator(".card a").click()
    expect(page.locator("#strip .card")).to_have_count(8)
    page.get_by_role("link", name="Show all").click()
    page.wait_for_load_state("networkidle")
    assert page.locator(".card").count() > 8
    seen.shot("like")
    seen.check()
    page.get_by_label("Only among").fill("tag:bird")
    page.get_by_role("button", name="Narrow down").click()
    expect(page).to_have_url(re.compile("q=tag"))
    seen.go("/")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Find what is like a picture of yours").click()
    chooser.value.set_files(SAMPLES / MARKED)
    page.wait_for_url("**/like/*", timeout=30_000)
    assert "animals/dog.webp" in page.locator(".card a").nth(0).inner_text() + page.locator(".card a").nth(1).inner_text()


def test_a_label_is_corrected_and_found(visit: Visit) -> None:
    seen = visit()
    page = seen.page
    seen.go("/key")
    page.get_by_label("The key of this gallery").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    seen.go("/?q=in:animals/pig")
    page.locator(".card a").click()
    page.get_by_label("Another label").fill("piglet in the grass")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".labels li").first).to_contain_text("piglet in the grass")
    page.get_by_role("button", name="Remove animal").click()
    expect(page.locator(".labels del")).to_have_text("animal")
    seen.shot("corrected")
    seen.check()
    seen.go('/?q=tag:"piglet in the grass"')
    expect(page.locator(".card")).to_have_count(1)
    page.locator(".card a").click()
    page.get_by_role("button", name="Undo piglet in the grass").click()
    expect(page.locator(".labels")).not_to_contain_text("piglet")
