"""The archive that is swept: small files that look like images, a few of them twice, refused or no images at all."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from pathlib import Path

from tests.kills.program import BAD

MAGIC = b"\x89PNG\r\n\x1a\n"


@dataclass(slots=True)
class Archive:
    """A folder, what is in it by name, and every good content that ever was, so that some of it comes again."""

    root: Path
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
            (self.root / f"notes-{number}.txt").write_bytes(b"no image")
        self.others = 3

    def disturb(self, number: int) -> None:
        """Change so many files: most get other bytes, some are new."""
        for _ in range(number):
            if self.random.random() < 0.05:
                self._add()
            else:
                self._put(self.random.choice(list(self.files)), self._data())

    def _add(self) -> None:
        number = len(self.files)
        extension = "" if number % 50 == 49 else ".png"
        self._put(f"album-{self.random.randrange(20):02}/photo-{number:06}{extension}", self._data())

    def _data(self) -> bytes:
        self.made += 1
        dice = self.random.random()
        if dice < 0.05 and self.contents:
            return self.random.choice(self.contents)
        if dice < 0.06:
            return b""
        if dice < 0.08:
            return BAD + str(self.made).encode()
        data = MAGIC + f"picture {self.made} ".encode() + self.random.randbytes(200)
        self.contents.append(data)
        return data

    def _put(self, name: str, data: bytes) -> None:
        """Put bytes under a name, in one step and as a new file, so that every version can be told from every other."""
        if not data and not name.endswith(".png"):
            data = BAD + str(self.made).encode()  # without a name that says so, an empty file is no image
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.root.parent / "fresh"
        fresh.write_bytes(data)
        os.replace(fresh, path)  # noqa: PTH105 both are paths already
        self.files[name] = data
