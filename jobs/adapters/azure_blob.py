"""A container of Azure Blob Storage as a source of blobs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime
from re import Pattern

from jobs.adapters.azure_blob_channel import Answer, Channel, Credential, open_channel
from jobs.adapters.azure_blob_link import Links
from jobs.adapters.azure_blob_listing import archived, http_date, is_folder, md5, tags
from jobs.adapters.azure_blob_names import Names, Span
from jobs.adapters.azure_blob_place import Place, place
from jobs.adapters.azure_blob_shards import side_by_side
from jobs.choose import EVERYTHING, Chooser
from jobs.errors import Changed, Gone, Rejected, Transient
from jobs.model import Blob, Odd, Page
from jobs.properties import properties

_METADATA = "x-ms-meta-"


class AzureBlobSource:
    """The blobs of a container whose names begin with the prefix of `place`, under their full names.

    Names that `choose` leaves out are listed as odd; what lies in a folder that it excludes is not listed at all. `shards` are
    ranges of names that are listed at once.
    """

    def __init__(
        self,
        channel: Channel,
        names: Names,
        links: Links,
        place: Place,
        *,
        choose: Chooser = EVERYTHING,
        page: int = 1000,
        shards: int = 1,
        pattern: Pattern[str] | None = None,
        include: Sequence[str] = (),
    ) -> None:
        self.key = place.key
        self.prefix = place.prefix
        self._channel = channel
        self._names = names
        self._links = links
        self._choose = choose
        self._page = page
        self._shards = shards
        self._pattern = pattern
        self._include = include
        self._folder: tuple[str, bool] = ("", True)

    async def pages(self, *, after: str | None = None, prefix: str = "") -> AsyncGenerator[Page]:
        """List as the port says. Holds at most two answers of the service, of 5,000 names each, for each shard."""
        if not (prefix.startswith(self.prefix) or self.prefix.startswith(prefix)):
            return
        span = Span(max(prefix, self.prefix, key=len), after)
        entries = self._names.entries(span) if self._shards == 1 else side_by_side(self._names, span, self._shards)
        kept: list[Blob | Odd] = []
        async with aclosing(entries) as batches:
            async for batch in batches:
                offered = [found for entry in batch if (found := self._offered(entry)) is not None]
                if batch and not offered and not kept:
                    yield Page((), last=batch[-1].name)
                kept += offered
                while len(kept) >= self._page:
                    yield _page(kept[: self._page])
                    del kept[: self._page]
        if kept:
            yield _page(kept)

    async def read(self, blob: Blob, *, limit: int | None = None) -> bytes:
        """Read as the port says, in one request. An archived blob is Transient, of class `archived`."""
        if not _legal(blob.name):
            raise Rejected(
                "read", blob.name, "a name with a backslash, or with . or .. between slashes, has no address", failure_class="name"
            )
        wanted = blob.size if limit is None else min(limit, blob.size)
        headers = {"If-Match": f'"{blob.etag}"'}
        if wanted < blob.size:
            headers["x-ms-range"] = f"bytes=0-{max(wanted, 1) - 1}"
        try:
            answer = await self._channel.send("read", blob.name, headers=headers, accept=(200, 206), most=max(wanted, 1))
        except Changed:
            await self._channel.send("read", blob.name, method="HEAD")  # a condition on what is not there fails like any other
            raise
        if answer.headers.get("ETag", "").strip('"') != blob.etag:
            raise Changed("read", blob.name, "it is another version than the one listed")
        if len(answer.body) < wanted:
            raise Transient("read", blob.name, f"the service gave {len(answer.body)} of {wanted} bytes")
        return answer.body[:wanted]

    async def head(self, name: str) -> Blob | None:
        """Return the version that is there now; None for folders, and for names outside of the source."""
        if not _legal(name) or not name.startswith(self.prefix):
            return None
        try:
            answer = await self._channel.send("head", name, method="HEAD")
        except (Gone, Rejected):
            return None
        metadata = {k[len(_METADATA) :]: v for k, v in answer.headers.items() if k.lower().startswith(_METADATA)}
        if answer.headers.get("x-ms-resource-type") == "directory" or is_folder(metadata):
            return None
        return await self._blob(name, answer, metadata)

    async def check(self) -> str:
        """List one name, and read a byte of it where it can be read."""
        found = await self._names.peek("", self.prefix)
        for entry in found.entries:
            if isinstance(entry, Blob) and entry.archived is None:
                with suppress(Changed, Gone):
                    await self.read(entry, limit=1)
                return f"it may be listed and read; the first blob is {entry.name}"
        return "it may be listed" if found.entries or found.by_folder else "it may be listed; nothing is there yet"

    async def now(self) -> datetime:
        """Return the time by the service's clock, in whole seconds."""
        answer = await self._channel.send("read the clock of", method="HEAD", query={"restype": "container"})
        return _time(answer, "Date", self.key)

    async def read_url(self, blob: Blob, minutes: float) -> str:
        """Return an address by which whoever has it can read this blob, whatever its version, for so many minutes."""
        return await self._links.sign(blob.name, minutes)

    async def _blob(self, name: str, answer: Answer, metadata: Mapping[str, str]) -> Blob:
        headers = answer.headers
        tagged: Mapping[str, str] = {}
        if "tags" in self._include and headers.get("x-ms-tag-count", "0") != "0":
            said = await self._channel.send("head", name, query={"comp": "tags"})
            tagged = tags(said.body, self.key)
        return Blob(
            self.key,
            name,
            headers.get("ETag", "").strip('"'),
            _time(answer, "Last-Modified", name),
            int(headers.get("Content-Length", 0)),
            headers.get("Content-Type") or None,
            md5(headers.get("Content-MD5")),
            archived(headers.get("x-ms-access-tier"), headers.get("x-ms-archive-status")),
            properties(name, self._pattern, metadata if "metadata" in self._include else None, tagged),
        )

    def _offered(self, entry: Blob | Odd) -> Blob | Odd | None:
        """Return the entry, odd where a glob leaves it out, None where it leaves out its whole folder."""
        if self._choose is EVERYTHING:
            return entry
        folder = entry.name.rpartition("/")[0]
        if folder != self._folder[0]:
            self._folder = (folder, _entered(folder, self._choose))
        if not self._folder[1]:
            return None
        return entry if self._choose.chosen(entry.name) else Odd(entry.name, "chosen out by a glob")


def _entered(folder: str, choose: Chooser) -> bool:
    """Say whether neither the folder nor one that it lies in is excluded."""
    parts = folder.split("/")
    return all(choose.descend("/".join(parts[:depth])) for depth in range(1, len(parts) + 1)) if folder else True


def _page(entries: Sequence[Blob | Odd]) -> Page:
    blobs = tuple(entry for entry in entries if isinstance(entry, Blob))
    return Page(blobs, tuple(entry for entry in entries if isinstance(entry, Odd)), entries[-1].name)


def _legal(name: str) -> bool:
    """Say whether a name has an address: on its way to the service dots between slashes are resolved, and backslashes turned."""
    return bool(name) and "\\" not in name and not {".", ".."} & set(name.split("/"))


def _time(answer: Answer, header: str, key: str) -> datetime:
    try:
        return http_date(answer.headers.get(header, ""))
    except (KeyError, ValueError) as error:
        raise Transient("head", key, f"the answer has no {header}") from error


@asynccontextmanager
async def open_azure_blob(
    location: str,
    credential: Credential,
    *,
    choose: Chooser = EVERYTHING,
    page: int = 1000,
    shards: int = 1,
    pattern: Pattern[str] | None = None,
    metadata: bool = False,
    index_tags: bool = False,
    per_request: int = 5000,
    seconds: float = 120.0,
) -> AsyncIterator[AzureBlobSource]:
    """Open a container. Nothing is asked of it yet. `metadata` and `index_tags` become properties; each needs its permission.

    `per_request` are names asked for at once, `seconds` the most that one request takes. Raises Misconfigured for a location
    that is none.
    """
    where = place(location, with_key=hasattr(credential, "key"))
    include = (*(("metadata",) if metadata else ()), *(("tags",) if index_tags else ()))
    async with open_channel(where, credential, seconds=seconds) as channel:
        names = Names(channel, where.key, pattern=pattern, include=include, most=per_request)

        async def now() -> datetime:
            return await source.now()

        source = AzureBlobSource(
            channel, names, Links(where, credential, now=now), where,
            choose=choose, page=page, shards=shards, pattern=pattern, include=include,
        )  # fmt: skip
        yield source
