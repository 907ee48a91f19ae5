"""AI Vision for tests: a stand-in that answers from the hash, and the SDK's way to it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from azure.core.credentials import AzureKeyCredential

from jobs.adapters.azure_vision import Question, features, open_azure_vision
from jobs.adapters.azure_vision_image import Preparation
from jobs.model import Analysis, Image
from tests.acceptance.conftest import picture
from tests.conftest import Run
from tests.standins.serve import served
from tests.standins.vision import KEY, Fault, VisionStandin

QUESTION = Question(features(["tags", "caption"]))
CREDENTIAL = AzureKeyCredential(KEY)


def preparation(
    *, fit: bool = False, colours: bool = True, max_bytes: int = 50_000_000, max_pixels: int = 40_000_000
) -> Preparation:
    return Preparation.of(max_bytes=max_bytes, max_pixels=max_pixels, colours=colours, fit=fit)


def photo(seed: int = 0, size: tuple[int, int] = (80, 60), kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture(seed, size).save(file, kind, **options)
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class World:
    """A stand-in that answers at `url`, and what it is asked through."""

    standin: VisionStandin
    url: str
    run: Run

    def classify(
        self, data: bytes, question: Question = QUESTION, credential: Any = CREDENTIAL, prepared: Preparation | None = None
    ) -> Analysis:
        async def world() -> Analysis:
            async with open_azure_vision(
                self.url, question, credential=credential, preparation=prepared or preparation(), price=1.0
            ) as vision:
                return await vision.classify(Image("a.jpg", data))

        return self.run(world())

    def fails(self, fault: Fault, seconds: float = 20.0) -> Exception:
        """Return what a call ends in that meets a fault; the service is well again afterwards."""
        self.standin.terms.faults.append(fault)

        async def world() -> None:
            async with self.vision() as vision, asyncio.timeout(seconds):
                await vision.classify(Image("a.jpg", photo()))

        with pytest.raises(Exception) as caught:  # noqa: PT011 its kind is what the tests look at
            self.run(world())
        return caught.value

    @asynccontextmanager
    async def vision(self) -> Any:
        async with open_azure_vision(self.url, QUESTION, credential=CREDENTIAL, preparation=preparation(), price=1.0) as vision:
            yield vision


@pytest.fixture
def world(run: Run) -> Iterator[World]:
    standin = VisionStandin(fast=True)
    with served(standin) as url:
        yield World(standin, url, run)
