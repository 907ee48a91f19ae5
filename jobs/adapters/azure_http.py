"""What the connections of all SDK clients have in common."""

from __future__ import annotations

from urllib.request import getproxies


def proxied() -> bool:
    """Say whether the environment names a proxy, so that aiohttp has to look there for each request.

    Where it does, aiohttp asks a thread twice for each request, once for the proxy and once for a `.netrc`: as much time as half
    of the request. A name in `.netrc` has no meaning for these services, whose clients sign by themselves.
    """
    return any(scheme != "no" for scheme in getproxies())
