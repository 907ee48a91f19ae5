"""The archive that is swept: small images, a few of them twice, refused or no images at all."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.kills.stage import Stage


@dataclass(slots=True)
class Archive:
    """What is in the source by name, and every good content that ever was, so that some of it comes again."""

    stage: Stage
    random: random.Random
    files: dict[str, bytes] = field(default_factory=dict)
    others: int = 0
    contents: list[bytes] = field(default_factory=list)
    made: int = 0

    def fill(self, images: int) -> None:
        """Make the archive, and a few files that are no images."""
        for _ in range(images):
            self._add()
        for number in range(3):
            self.stage.put(f"notes-{number}.txt", b"no image")
        self.others = 3

    def disturb(self, number: int) -> None:
        """Change so many files: most get other bytes, some are new."""
        for _ in range(number):
            if self.random.random() < 0.05:
                self._add()
            else:
                self.put(self.random.choice(list(self.files)), self._data())

    def _add(self) -> None:
        number = len(self.files)
        extension = "" if number % 50 == 49 else ".png"
        self.put(f"album-{self.random.randrange(20):02}/photo-{number:06}{extension}", self._data())

    def _data(self) -> bytes:
        self.made += 1
        dice = self.random.random()
        if dice < 0.05 and self.contents:
            return self.random.choice(self.contents)
        if dice < 0.06:
            return b""
        if dice < 0.08:
            return self._fresh(self.stage.bad)
        data = self._fresh(self.stage.picture)
        self.contents.append(data)
        return data

    def _fresh(self, make: Callable[[bytes], bytes]) -> bytes:
        """Make bytes that never were before."""
        return make(f"{self.made} ".encode() + self.random.randbytes(100))

    def put(self, name: str, data: bytes) -> None:
        """Put bytes under a name; empty ones only where the name says that it is an image."""
        if not data and not name.endswith(".png"):
            data = self._fresh(self.stage.bad)  # without a name that says so, an empty file is no image
        self.stage.put(name, data)
        self.files[name] = data
