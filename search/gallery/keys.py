"""Who may change something: whoever showed the key, by a cookie or in a header.

The cookie holds when it was given, and a MAC by the key: nothing is kept here, and another key makes all cookies void. What a form
sends has to hold a second MAC, over the cookie, and has to come from the gallery's own pages.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from search.gallery.web import page, parts, root

COOKIE = "imagesweep_key"
HOURS = 12
MOST_FORM = 64_000
"""Bytes of a form."""

SHORTEST = 16
"""Characters of a key; a shorter one could be guessed."""


class Forbidden(Exception):
    """Whoever asks may not change anything."""


def marked(request: Request) -> None:
    """Note for templates whether this person may change something, and what forms have to send."""
    cookie = request.cookies.get(COOKIE, "")
    if _valid(cookie, parts(request).key):
        request.scope["imagesweep.editor"] = True
        request.scope["imagesweep.csrf"] = _mac(parts(request).key, f"form {cookie}")


async def form(request: Request) -> dict[str, str]:
    """Return what a form sent, once it is sure that this person may and wanted to. Raises Forbidden."""
    key = parts(request).key
    if not key:
        raise Forbidden("This gallery is read only: set IMAGESWEEP_GALLERY_KEY to change something here.")
    sent = await _fields(request)
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if given and hmac.compare_digest(given.encode(), key.encode()):
        return sent
    cookie = request.cookies.get(COOKIE, "")
    if not _valid(cookie, key):
        raise Forbidden("Sign in with the key first.")
    if not own(request) or not hmac.compare_digest(sent.get("csrf", "").encode(), _mac(key, f"form {cookie}").encode()):
        raise Forbidden("This did not come from a page of the gallery. Load the page again.")
    return sent


async def sign_in(request: Request) -> Response:
    """Show the form for the key, or take it and give a cookie."""
    key = parts(request).key
    if request.method == "GET" or not key:
        return page(request, "key.html", title="Key", wrong=False)
    sent = await _fields(request)
    if not own(request) or not hmac.compare_digest(sent.get("key", "").encode(), key.encode()):
        return page(request, "key.html", status=403, title="Key", wrong=True)
    stamp = f"{int(time.time()) + HOURS * 3600}.{secrets.token_urlsafe(12)}"
    answer = RedirectResponse(f"{root(request)}/", 303)
    secure = request.url.scheme == "https"
    value = f"{stamp}.{_mac(key, stamp)}"
    answer.set_cookie(COOKIE, value, max_age=HOURS * 3600, httponly=True, samesite="strict", secure=secure)
    return answer


async def sign_out(request: Request) -> Response:
    """Take the cookie back."""
    await form(request)
    answer = RedirectResponse(f"{root(request)}/", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def _valid(cookie: str, key: str) -> bool:
    stamp, _, mac = cookie.rpartition(".")
    until = stamp.partition(".")[0]
    if not key or not until.isascii() or not until.isdecimal() or not hmac.compare_digest(mac.encode(), _mac(key, stamp).encode()):
        return False
    return int(until) > time.time()


def own(request: Request) -> bool:
    """Say whether a request comes from our own pages, as far as its browser says."""
    origin = request.headers.get("origin")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")


async def _fields(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_FORM:
            raise Forbidden("The form is too large.")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50))
    except ValueError as error:
        raise Forbidden("The form cannot be read.") from error


def _mac(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
