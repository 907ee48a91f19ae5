"""Notices: what Event Grid tells of blobs, matched to the sources that they are in, and settled."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from jobs.adapters.azure_blob_place import place
from jobs.app.desk import Desk
from jobs.choose import chooser
from jobs.errors import Misconfigured
from jobs.event import Answer, settle_event
from jobs.settings import several

log = logging.getLogger("imagesweep")

CREATED = "Microsoft.Storage.BlobCreated"
DELETED = "Microsoft.Storage.BlobDeleted"
_SUBJECT = re.compile(r"/blobServices/default/containers/([^/]+)/blobs/(.+)", re.DOTALL)
_KIND = "azure-blob:"


@dataclass(frozen=True, slots=True)
class Notice:
    """A blob of which an event tells, by account, container and name; the rest of an event is not to be relied on."""

    account: str
    container: str
    name: str


def read_notice(kind: str, subject: str, data: Mapping[str, object]) -> Notice | None:
    """Return what an event tells of, None when it is of another type. Raises ValueError for what is no event of Blob Storage.

    The name is that of the subject, which is not encoded; the account is the host's first part in the data's address.
    """
    if kind not in (CREATED, DELETED):
        return None
    matched = _SUBJECT.fullmatch(subject)
    url = data.get("url")
    if matched is None or not isinstance(url, str):
        raise ValueError(f"an event of type {kind} without a blob's subject and address: {subject[:200]!r}")
    parts = urlsplit(url)
    host = parts.hostname or ""
    account = host.split(".")[0] if "." in host and not host.replace(".", "").isdigit() else parts.path.split("/")[1]
    return Notice(account.lower(), matched[1], matched[2])


async def notice(desk: Desk, kind: str, subject: str, data: Mapping[str, object]) -> str:
    """Settle the blob of an event in every source that it is in; return what became of it.

    Raises what is to be delivered again, and ValueError for what is no event of Blob Storage.
    """
    found = read_notice(kind, subject, data)
    if found is None:
        log.info("event.ignored", extra={"key": subject[:200], "reason": f"type {kind}"})
        return "other type"
    named = [source for source in desk.sources if _within(source, found)]
    if not named:
        log.info("event.ignored", extra={"key": subject[:200], "reason": f"no source in account {found.account}"})
        return "other place"
    choose = chooser(several(desk.settings.include), several(desk.settings.exclude))
    answers: set[Answer] = set()
    for source in named:
        ports = await desk.ports(source)
        one = await settle_event(found.name, ports=ports, terms=desk.terms(), choose=choose, throttle=await desk.throttle())
        answers.add(one)
        log.info("event.end", extra={"key": found.name, "status": one.value})
    return "+".join(sorted(answers))


def _within(source: str, found: Notice) -> bool:
    if not source.startswith(_KIND):
        return False
    try:
        where = place(source.removeprefix(_KIND), with_key=True)
    except Misconfigured:
        return False
    return (where.account.lower(), where.container) == (found.account, found.container) and found.name.startswith(where.prefix)
