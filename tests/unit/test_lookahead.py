"""The plan of the gallery: by listing alone, kept for some minutes, and not waited for without end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jobs.errors import Transient
from jobs.settings import Settings
from jobs.wiring import lookahead
from jobs.wiring.lookahead import KEPT, Lookahead
from tests.conftest import Run
from tests.unit.vision_kit import photo


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(photo(number))
    return Settings(_env_file=None, source="folder:photos", store="sqlite:results.db")  # type: ignore[call-arg]  # pydantic's own


def test_it_is_made_once_in_a_while_whoever_asks(run: Run, settings: Settings, tmp_path: Path) -> None:
    now = 0.0
    ahead = Lookahead(settings, clock=lambda: now)

    async def world() -> None:
        nonlocal now
        await create()
        plans = await asyncio.gather(*(ahead() for _ in range(5)))
        assert [one[0].new for one in plans] == [3] * 5
        (tmp_path / "photos" / "late.jpg").write_bytes(photo(9))
        now = KEPT
        assert (await ahead())[0].new == 3
        now = KEPT + 1
        assert (await ahead())[0].new == 4

    async def create() -> None:
        from jobs import wiring  # noqa: PLC0415

        async with wiring.store(settings):
            pass

    run(world())


def test_a_listing_without_end_is_left_to_the_command_line(run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(*_: object, **__: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(lookahead, "SECONDS", 0.05)
    monkeypatch.setattr(lookahead, "plans", endless)
    with pytest.raises(Transient, match="imagesweep plan"):
        run(Lookahead(settings)())
