"""A gallery over the samples as a person meets it: swept and served by the real program, seen in real Chromium."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from jobs.adapters.sqlite import open_sqlite
from jobs.model import Box, Line, Region, blob_id
from tests.acceptance.conftest import PROGRAM, SAMPLES
from tests.servers.node import installed

KEY = "a key of sixteen characters"
SHOTS = Path(os.environ.get("IMAGESWEEP_SHOTS", Path(__file__).parents[2] / ".imagesweep" / "screenshots"))
WIDTHS = {"desktop": (1280, 860), "phone": (390, 800)}
MARKED = "animals/dog.webp"
"""The sample that is given boxes: the local model finds none."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the gallery is, and where it keeps its files."""

    address: str
    home: Path


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IMAGESWEEP_")}
    return kept | {"IMAGESWEEP_SOURCE": f"folder:{SAMPLES}", "IMAGESWEEP_GALLERY_KEY": KEY}


async def _mark(path: Path) -> None:
    """Give one image boxes and text, as AI Vision would."""
    async with open_sqlite(path) as store:
        key = blob_id(f"folder:{SAMPLES}", MARKED)
        record = (await store.look_up([key], vectors=True))[key]
        assert record.analysis
        found = replace(
            record.analysis,
            objects=(Region("dog", 0.93, Box(40, 100, 660, 560)),),
            people=(Region("person", 0.4, Box(0, 0, 60, 200)),),
            text=(Line("BEWARE", 0.9, ((700, 40), (900, 60), (896, 110), (696, 90))),),
        )
        assert None not in await store.write([replace(record, analysis=found)])


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("gallery")
    subprocess.run([PROGRAM, "sweep"], cwd=home, env=_environment(), check=True, capture_output=True, timeout=50)
    asyncio.run(_mark(home / ".imagesweep/results.db"))
    command = [PROGRAM, "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=home, env=_environment(), stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr
        found = re.search(r"http://\S+", server.stderr.readline())
        assert found
        yield Site(found[0].rstrip("/"), home)
        server.send_signal(signal.SIGINT)
        assert server.wait(15) == 0


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
        if path is None and not Path(playwright.chromium.executable_path).exists():
            missing = "Chromium is missing: install it, or run `.venv/bin/python -m playwright install --with-deps chromium`"
            if os.environ.get("CI"):
                pytest.fail(f"{missing}; CI must run the tests that need it")
            pytest.skip(missing)
        with playwright.chromium.launch(executable_path=path, args=["--no-sandbox"]) as opened:
            yield opened


@dataclass(frozen=True, slots=True)
class Seen:
    """A page in a browser, at one width; what it complains of is collected."""

    page: Page
    site: Site
    name: str
    complaints: list[str]
    axe: Path

    def go(self, path: str) -> None:
        self.page.goto(self.site.address + path)
        self.page.wait_for_load_state("networkidle")

    def shot(self, name: str) -> None:
        """Write a screenshot for people to look at."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}-{self.name}.png")

    def check(self) -> None:
        """Fail where axe-core finds something serious."""
        self.page.evaluate(self.axe.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [
            (one["id"], [node["html"] for node in one["nodes"]][:3])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []


Visit = Callable[..., Seen]


@pytest.fixture
def visit(site: Site, browser: Browser) -> Iterator[Visit]:
    contexts: list[BrowserContext] = []
    visited: list[Seen] = []
    axe = installed(Path(__file__).parent) / "axe-core/axe.min.js"

    def begin(width: str = "desktop", *, scheme: str = "light") -> Seen:
        across, down = WIDTHS[width]
        context = browser.new_context(viewport={"width": across, "height": down}, color_scheme=scheme)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        seen = Seen(page, site, width if scheme == "light" else f"{width}-{scheme}", [], axe)

        def heard(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                seen.complaints.append(message.text)

        page.on("console", heard)
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        visited.append(seen)
        return seen

    yield begin
    for context in contexts:
        context.close()
    assert [seen.complaints for seen in visited if seen.complaints] == []
