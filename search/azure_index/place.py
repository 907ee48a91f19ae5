"""Where an index is: the service and the name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from jobs.errors import Misconfigured

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_]|-(?!-)){0,112}[a-z0-9]")
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Place:
    """A service (`https://SERVICE.search.windows.net`) and the name of an index or alias in it."""

    endpoint: str
    name: str

    def __str__(self) -> str:
        return f"{self.endpoint}/{self.name}"

    @classmethod
    def parse(cls, location: str) -> Place:
        """Read a place as it is set. Raises Misconfigured for what cannot be one."""
        url = urlsplit(location)
        name = url.path.strip("/")
        if url.scheme not in ("https", "http") or not url.hostname or url.query or url.fragment:
            raise _wrong(location, "it is no address of an index")
        if url.scheme == "http" and url.hostname not in _LOCAL:
            raise _wrong(location, "a key or a token would travel in the clear")
        if not _NAME.fullmatch(name):
            raise _wrong(location, f"{name!r} is no name of an index: lower-case letters, digits, single dashes")
        return cls(f"{url.scheme}://{url.netloc}", name)


def _wrong(location: str, cause: str) -> Misconfigured:
    hint = "It reads azure-search:https://SERVICE.search.windows.net/INDEX."
    return Misconfigured("read", f"IMAGESWEEP_INDEX {location}", cause, hint=hint)
