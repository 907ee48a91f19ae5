"""The command line as a person starts it: a process, in an empty folder, on the embedded profile."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

PROGRAM = str(Path(sys.executable).parent / "imagesweep")
SAMPLES = Path(__file__).parents[2] / "samples"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the program said: exit status, stdout, stderr."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Desk:
    """An empty folder to work in, with a folder `photos`."""

    home: Path

    @property
    def photos(self) -> Path:
        return self.home / "photos"

    def environment(self, **settings: str) -> dict[str, str]:
        """Return the environment of the program: only the settings given."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("IMAGESWEEP_")}
        return {**kept, "IMAGESWEEP_SOURCE": "folder:photos", **{f"IMAGESWEEP_{k.upper()}": v for k, v in settings.items()}}

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        """Start the program and leave it running."""
        return subprocess.Popen(
            [PROGRAM, *arguments],
            cwd=self.home,
            env=self.environment(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **settings: str) -> Answer:
        """Run the program to its end."""
        process = self.start(*arguments, **settings)
        out, err = process.communicate(timeout=50)
        return Answer(process.returncode, out, err)

    def photo(self, name: str, seed: int = 0, size: tuple[int, int] = (80, 60)) -> Path:
        """Make a photo of its own under a name."""
        path = self.photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(seed, size).save(path)
        return path


def picture(seed: int, size: tuple[int, int] = (80, 60)) -> Image.Image:
    """Draw something that no other seed draws."""
    dice = random.Random(seed)
    image = Image.new("RGB", size, tuple(dice.randrange(256) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = dice.randrange(size[0]), dice.randrange(size[1])
        draw.rectangle((x, y, x + dice.randrange(40), y + dice.randrange(40)), tuple(dice.randrange(256) for _ in range(3)))
    return image


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.photos.mkdir()
    return desk
