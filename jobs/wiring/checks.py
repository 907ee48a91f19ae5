"""The parts of a deployment as `jobs.check` asks them. Nothing is made and nothing is changed by being asked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from jobs import taxonomy, wiring
from jobs.check import Part, classified, embedded, said
from jobs.errors import Misconfigured
from jobs.model import Blob
from jobs.ports import Linker, Source
from jobs.settings import Settings, several
from jobs.wiring import embedders
from jobs.wiring.kinds import choose, split

UNMADE: Final = frozenset({"sqlite", "tantivy"})
"""Kinds that the first sweep makes where nothing is there yet; all others are made by `imagesweep index create`."""

_SECRETS: Final = re.compile(r"\?.*|(?<=//)[^/]*@")


def parts(settings: Settings, *, pay: bool) -> Iterator[Part]:
    """Yield every part that the settings name; `pay` lets those that cost something answer once."""
    for listed in several(settings.source) or ("",):
        yield Part("source", _shown(listed), partial(_source, settings, listed))
    yield Part("classifier", _shown(settings.classifier), partial(_classifier, settings, pay=pay))
    if settings.cascade:
        yield Part("cascade", _shown(settings.cascade), partial(_cascade, settings))
    if _embedded_apart(settings):
        yield Part("embedder", _shown(settings.embedder), partial(_embedder, settings, pay=pay))
    if settings.vision_send == "url":
        yield Part("links", _shown(settings.source), partial(_links, settings))
    yield Part("store", _shown(settings.store), partial(_store, settings))
    yield Part("index", _shown(settings.index), partial(_index, settings))
    if settings.taxonomy:
        yield Part("taxonomy", settings.taxonomy, partial(_taxonomy, settings))


def _embedded_apart(settings: Settings) -> bool:
    """Say whether vectors come from something else than the classifier itself."""
    kind = settings.embedder.partition(":")[0]
    return kind not in ("", embedders.NONE) and not (kind in embedders.OWN and settings.embedder == settings.classifier)


def _shown(value: str) -> str:
    """Return a KIND:LOCATION without what may be a secret in it: a query (a SAS), a password."""
    return _SECRETS.sub("", value)


def _open(settings: Settings, listed: str) -> AbstractAsyncContextManager[Source]:
    opener, location = choose("source", listed, wiring.SOURCES)
    return opener(settings, location)


async def _source(settings: Settings, listed: str) -> str:
    async with _open(settings, listed) as source:
        return await said(source)


async def _classifier(settings: Settings, *, pay: bool) -> str:
    opener, location = choose("classifier", settings.classifier, wiring.CLASSIFIERS)
    async with opener(settings, location) as classifier:
        return await classified(classifier, pay=pay)


async def _cascade(settings: Settings) -> str:
    """Ask the first one of a cascade, once it is known to go with the classifier."""
    async with wiring.classifier(settings):
        opener, location = choose("cascade", settings.cascade, wiring.CLASSIFIERS)
        async with opener(settings, location) as first:
            return await classified(first, pay=False)


async def _embedder(settings: Settings, *, pay: bool) -> str:
    async with embedders.embedder(settings) as embedder:
        return await embedded(embedder, pay=pay)


async def _links(settings: Settings) -> str:
    """Sign a link into each source, to a blob that need not be there."""
    for listed in several(settings.source):
        async with _open(settings, listed) as source:
            if isinstance(source, Linker):
                await source.read_url(Blob(source.key, f"{source.prefix}check", "", datetime.now(UTC), 0), 1.0)
    return "links to single blobs can be signed"


async def _store(settings: Settings) -> str:
    if (unmade := _unmade("store", settings.store)) is not None:
        return unmade
    async with wiring.store(settings, read_only=True) as store:
        return await said(store)


async def _index(settings: Settings) -> str:
    if (unmade := _unmade("index", settings.index)) is not None:
        return unmade
    async with wiring.index(settings) as index:
        return await said(index)


async def _taxonomy(settings: Settings) -> str:
    found = taxonomy.load(settings.taxonomy)
    told = f"{len(found.categories)} categories: {', '.join(found.categories)}"
    if not found.taught:
        return told
    async with embedders.teacher(settings) as embedder:
        if embedder.asked != found.embedder:
            cause = f"its examples are for vectors by {found.embedder}; images get theirs by {embedder.asked}"
            raise Misconfigured("check", settings.taxonomy, cause, hint="Teach them again: `imagesweep teach`.")
    return f"{told}; {len(found.taught)} by example"


def _unmade(setting: str, value: str) -> str | None:
    """Say that the first sweep will make it, where that is so. Raises Misconfigured where it could not; None if it is there."""
    kind, location = split(setting, value)
    path = Path(location)
    if kind not in UNMADE or path.is_file() or (path.is_dir() and any(path.iterdir())):
        return None
    above = next(one for one in [path, *path.absolute().parents] if one.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        hint = f"Give this user the right to, or set IMAGESWEEP_{setting.upper()} elsewhere."
        raise Misconfigured("check", location, f"{above} may not be written to", hint=hint)
    return "not there yet: the first sweep makes it"
