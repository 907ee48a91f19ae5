"""What the connections of all SDK clients have in common."""

from __future__ import annotations

import itertools
import uuid
from typing import Final
from urllib.request import getproxies

_PROCESS: Final = str(uuid.uuid4())[:24]
_NUMBERS: Final = itertools.count(1)


def request_id() -> str:
    """Return an id, in the form of a UUID, by which a service finds one request in its logs.

    The SDKs make one from the clock for each request (`uuid.uuid1`), which asks the operating system and takes as long as the
    rest of their headers.
    """
    return f"{_PROCESS}{next(_NUMBERS):012x}"


def proxied() -> bool:
    """Say whether the environment names a proxy, so that aiohttp has to look there for each request.

    Where it does, aiohttp asks a thread twice for each request, once for the proxy and once for a `.netrc`: as much time as half
    of the request. A name in `.netrc` has no meaning for these services, whose clients sign by themselves.
    """
    return any(scheme != "no" for scheme in getproxies())
