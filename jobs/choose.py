"""Which names a source offers: include and exclude globs over POSIX paths."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from wcmatch import glob
from wcmatch._wcparse import PatternLimitException  # documented, and exported nowhere else

from jobs.errors import Misconfigured
from jobs.ports import Source

_FLAGS = glob.GLOBSTAR | glob.DOTGLOB | glob.BRACE | glob.CASE | glob.FORCEUNIX
_CLASS = re.compile(r"\[[!^]?\]?(?:\[:\w+:\]|[^\]])*\]")
_ESCAPED = re.compile(r"\\.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Chooser:
    """The answer to which names are chosen, and which folders are worth walking into. Built by `chooser`."""

    include: re.Pattern[str] | None = None
    exclude: re.Pattern[str] | None = None

    def chosen(self, name: str) -> bool:
        """Say whether the blob of this name is to be looked at."""
        if self.exclude is not None and self.exclude.fullmatch(name):
            return False
        return self.include is None or self.include.fullmatch(name) is not None

    def descend(self, folder: str) -> bool:
        """Say whether a folder (without its closing slash) may hold chosen names: false only when it is excluded whole."""
        return self.exclude is None or self.exclude.fullmatch(folder + "/") is None


EVERYTHING = Chooser()


def within(source: Source, prefix: str) -> str:
    """Return what the names of a job begin with that is about `prefix`: never less than the source's own prefix.

    Ledger and index know the key alone, so a job that went by it would touch what is another source's. Raises Misconfigured
    when nothing in the source begins with `prefix`.
    """
    if prefix.startswith(source.prefix):
        return prefix
    if source.prefix.startswith(prefix):
        return source.prefix
    cause = f"no name there begins with {prefix!r}"
    raise Misconfigured("take a part of", f"{source.key}/{source.prefix}", cause, hint="Names begin below the container.")


def chooser(include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Chooser:
    """Compile globs: a name is chosen when some include matches it (or there is none) and no exclude does.

    `*`, `?`, `[a-z]` and `{a,b}` stop at a slash, `**` does not. Case counts, and dot-files are names like any other. A
    pattern without a slash is about the last part of a name, at any depth; one with a slash is about the whole name. A
    pattern that ends in a slash is about a folder and stands for all that is in it. An exclude that matches a folder
    excludes all that is in it, as in .gitignore: a walk does not enter it, and its files are not even counted as skipped.

    Raises Misconfigured for a pattern that could never match what its writer meant.
    """
    excluded = [form for pattern in exclude for form in _forms(pattern)]
    return Chooser(
        include=_compile([_forms(pattern)[0] for pattern in include]),
        exclude=_compile(excluded),
    )


def _forms(pattern: str) -> tuple[str, ...]:
    """Return the pattern over whole names, and the one for all that lies in a folder of that name."""
    fault = _fault(pattern)
    if fault:
        raise Misconfigured("read the globs", repr(pattern), fault)
    body = pattern.rstrip("/")
    anchored = body.lstrip("/") if "/" in body else f"**/{body}"
    inside = f"{anchored}/**"
    return (inside,) if pattern.endswith("/") else (anchored, inside)


def _fault(pattern: str) -> str:
    rest = _ESCAPED.sub("", pattern)
    if not pattern.strip("/"):
        return "the pattern is empty"
    if pattern.startswith("!"):
        return r"a leading ! does not negate here: move the pattern to the other list, or write \! for the character"
    if rest.endswith("\\"):
        return "nothing follows the last backslash"
    if "[" in _CLASS.sub("", rest):
        return "a [ is never closed"
    if {".", "..", ""} & set(pattern.strip("/").split("/")):
        return "names have no empty, . or .. parts"
    return ""


def _compile(patterns: Sequence[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    try:
        expressions, _ = glob.translate(patterns, flags=_FLAGS)
        return re.compile("|".join(f"(?:{expression})" for expression in expressions))
    except (PatternLimitException, re.error) as error:
        raise Misconfigured("read the globs", ", ".join(patterns), str(error)) from error
