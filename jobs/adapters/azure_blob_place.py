"""Where a container is: `https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX`, or below an emulator's address."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urlsplit

from jobs.errors import Misconfigured

_EMULATOR = "devstoreaccount1"
_EXAMPLE = "It reads azure-blob:https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX."


@dataclass(frozen=True, slots=True)
class Place:
    """A container and the part of it that is meant: names that begin with `prefix`. `endpoint` includes an emulator's account."""

    endpoint: str
    account: str
    container: str
    prefix: str

    @property
    def key(self) -> str:
        """What names the container for ever: part of every blob's id."""
        return f"azure-blob:{self.endpoint}/{self.container}"

    def url(self, name: str = "") -> str:
        """Return the address of a blob, or of the container itself."""
        base = f"{self.endpoint}/{self.container}"
        return f"{base}/{quote(name, safe='~/')}" if name else base


def place(location: str, *, with_key: bool) -> Place:
    """Read the location of a source. Raises Misconfigured for what is none; a secret in it is not repeated.

    Plain http is for the emulator on this machine, and only with a key: a token would be readable by all on the way.
    """
    try:
        parts = urlsplit(location)
        host = parts.hostname or ""
        port = parts.port
    except ValueError:
        raise _wrong("it is no address") from None
    if parts.query or parts.fragment or parts.username is not None:
        raise _wrong("it holds more than an address (a SAS?)", f"{_EXAMPLE} Access is by identity, or by IMAGESWEEP_BLOB_KEY.")
    netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    path = [unquote(part) for part in parts.path.split("/")[1:]]
    account = host.split(".")[0]
    endpoint = f"{parts.scheme}://{netloc}"
    if _by_path(host):
        account, path = (path[0] if path else ""), path[1:]
        endpoint += f"/{account}"
    container = path[0] if path else ""
    if not host or not account or not container:
        raise _wrong("it names no account and container")
    _check_scheme(parts, host, account, with_key=with_key)
    return Place(endpoint, account, container, "/".join(path[1:]))


def _check_scheme(parts: SplitResult, host: str, account: str, *, with_key: bool) -> None:
    if parts.scheme == "https":
        return
    if parts.scheme != "http":
        raise _wrong("it begins with neither https:// nor http://")
    if not with_key or not (_loopback(host) or account == _EMULATOR):
        hint = "Use https. Plain http is for the emulator only, with IMAGESWEEP_BLOB_KEY."
        raise _wrong("its address is not encrypted", hint)


def _by_path(host: str) -> bool:
    """Say whether the account is the first part of the path and not of the host name: so it is with addresses of machines."""
    return "." not in host or _address(host) is not None


def _loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _wrong(cause: str, hint: str = _EXAMPLE) -> Misconfigured:
    return Misconfigured("read", "IMAGESWEEP_SOURCE", cause, hint=hint)
