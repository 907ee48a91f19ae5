"""Images that AI Vision reads for itself: signed links to them, and the proof that it read the version that was meant."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final, Protocol

from jobs.errors import Changed, Gone
from jobs.model import Blob, Image
from jobs.retry import Policy, retry

MINUTES: Final = 15.0
"""How long a link can be read: longer than a call may take, too short to be worth stealing."""


class Linking(Protocol):
    """A source whose blobs others can read by a link."""

    async def read_url(self, blob: Blob, minutes: float) -> str:
        """Return an address by which whoever has it can read this blob, whatever its version, for so many minutes."""
        ...

    async def head(self, name: str) -> Blob | None:
        """Return the version that is there now, None when there is none."""
        ...


class Links:
    """Links to the blobs of some sources, by the sources' keys."""

    def __init__(self, sources: Mapping[str, Linking]) -> None:
        self._sources = sources

    async def link(self, image: Image) -> str | None:
        """Return a link to the blob of an image, None where there is none to give: then its bytes are to be sent."""
        if image.blob is None or image.blob.source not in self._sources:
            return None
        return await self._sources[image.blob.source].read_url(image.blob, MINUTES)

    async def check(self, image: Image) -> None:
        """Raise Changed or Gone when the version that was meant is not there any more, after its answer came.

        The answer was paid for and is thrown away: nobody knows which bytes it is about. Looking is tried again as long as it may
        help, since an answer that cannot be checked is lost as well.
        """
        blob = image.blob
        assert blob is not None
        current = await retry(partial(self._sources[blob.source].head, blob.name), Policy())
        if current is None:
            raise Gone("classify", blob.name, "it was removed while AI Vision read it")
        if current.etag != blob.etag:
            raise Changed("classify", blob.name, "it was overwritten while AI Vision read it")
