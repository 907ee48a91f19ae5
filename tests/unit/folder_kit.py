"""What the tests of the folder source share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from jobs.adapters.folder import FolderSource
from jobs.model import Blob, Odd

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def entries(source: FolderSource, *, after: str | None = None, prefix: str = "") -> tuple[list[Blob], list[Odd]]:
    async def collect() -> tuple[list[Blob], list[Odd]]:
        pages = [page async for page in source.pages(after=after, prefix=prefix)]
        return [blob for page in pages for blob in page.blobs], [odd for page in pages for odd in page.odd]

    return run(collect())


def names(source: FolderSource, *, after: str | None = None, prefix: str = "") -> list[str]:
    return [blob.name for blob in entries(source, after=after, prefix=prefix)[0]]


def odds(source: FolderSource, *, after: str | None = None) -> dict[str, tuple[str, bool]]:
    return {odd.name: (odd.reason, odd.unread) for odd in entries(source, after=after)[1]}


def head(source: FolderSource, name: str) -> Blob:
    blob = run(source.head(name))
    assert blob is not None
    return blob


def fail(monkeypatch: pytest.MonkeyPatch, function: str, tail: str, number: int) -> None:
    """Let a function of `os` fail for the paths that end in `tail`: the tests may run as root, whom no mode stops."""
    real: Callable[..., Any] = getattr(os, function)

    def failing(path: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(path, bytes) and path.endswith(tail.encode()):
            raise OSError(number, os.strerror(number), path)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, function, failing)
