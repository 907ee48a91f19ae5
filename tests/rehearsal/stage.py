"""The stage of the rehearsal: servers and stand-ins in the place of the four services, and a container with the samples."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from azure.storage.blob import ContainerClient
from PIL import Image, ImageOps

from tests.servers import azurite, cosmos
from tests.standins import vision
from tests.standins.search import SearchService, app
from tests.standins.serve import served

SAMPLES = Path(__file__).parents[2] / "samples"
CONTAINER = "photos"


@dataclass(frozen=True, slots=True)
class Stage:
    """What is on the stage: `settings` lead to it, the rest is looked at and changed behind the program's back."""

    settings: Mapping[str, str]
    container: ContainerClient
    eyes: vision.VisionStandin
    index: SearchService

    def upload(self) -> int:
        """Upload the samples with author and licence as metadata; return how many files these are."""
        with (SAMPLES / "LICENSES.csv").open(encoding="utf-8") as file:
            about = {row["file"]: row for row in csv.DictReader(file)}
        paths = sorted(path for path in SAMPLES.rglob("*") if path.is_file())
        for path in paths:
            name = path.relative_to(SAMPLES).as_posix()
            self.container.upload_blob(name, path.read_bytes(), metadata=_metadata(about.get(name, {})))
        return len(paths)

    def overwrite(self, name: str) -> None:
        """Put another picture in the place of a sample: its mirror image."""
        file = io.BytesIO()
        with Image.open(SAMPLES / name) as image:
            ImageOps.mirror(image.convert("RGB")).save(file, "WEBP")
        self.container.upload_blob(name, file.getvalue(), overwrite=True)

    def delete(self, name: str) -> None:
        """Delete a blob."""
        self.container.delete_blob(name)

    def calls(self) -> int:
        """Return the number of calls that AI Vision answered so far, and would have charged: analyses and embeddings."""
        return sum(self.eyes.counts.paid.values()) + sum(self.eyes.counts.embedded.values())

    def documents(self) -> int:
        """Return the number of documents in the index."""
        return sum(len(index.stored) for index in self.index.indexes.values())


def _metadata(row: Mapping[str, str]) -> dict[str, str]:
    """Return what is known of a sample and can be metadata, which is ASCII."""
    return {name: row[name] for name in ("licence", "author") if row.get(name, "").isascii() and row.get(name)}


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Set the stage on free ports of this machine until the body is done; logs of the servers go to `folder`.

    Raises NodeMissing or ServerFailed.
    """
    eyes, index = vision.VisionStandin(), SearchService()
    with ExitStack() as stack:
        blobs = stack.enter_context(azurite.azurite(folder))
        results = stack.enter_context(cosmos.cosmos_server(folder))
        sight = stack.enter_context(served(eyes))
        found = stack.enter_context(served(app(index)))
        key = {"account_name": azurite.ACCOUNT, "account_key": azurite.KEY}
        container = stack.enter_context(ContainerClient(blobs, CONTAINER, credential=key))
        container.create_container()
        settings = {
            "IMAGESWEEP_SOURCE": f"azure-blob:{blobs}/{CONTAINER}",
            "IMAGESWEEP_CLASSIFIER": f"azure-vision:{sight}",
            "IMAGESWEEP_EMBEDDER": f"azure-vision:{sight}",
            "IMAGESWEEP_STORE": f"cosmos:{results}/imagesweep",
            "IMAGESWEEP_INDEX": f"azure-search:{found}/images",
            "IMAGESWEEP_BLOB_METADATA": "true",
            "IMAGESWEEP_BLOB_KEY": azurite.KEY,
            "IMAGESWEEP_VISION_KEY": vision.KEY,
            "IMAGESWEEP_COSMOS_KEY": cosmos.KEY,
            "IMAGESWEEP_SEARCH_KEY": "admin",
        }
        yield Stage(settings, container, eyes, index)
