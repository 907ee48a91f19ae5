"""The current result as a table: CSV, or Parquet where its library is installed."""

from __future__ import annotations

import asyncio
import importlib
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from jobs.errors import Misconfigured
from search.gallery.asking import asked
from search.gallery.web import parts
from search.query import Hit, Query, Searcher

ROWS = 100_000
"""The most images of one export."""

_BATCH = 1000
_RISKY = ("=", "+", "-", "@", "\t", "\r")


async def csv(request: Request) -> Response:
    """Answer with the result as CSV, batch by batch."""
    query = asked(request).query
    searcher = parts(request).searcher
    first = await searcher.search(_batch(query, 1))  # what goes wrong is told before the answer begins
    headers = {"content-disposition": 'attachment; filename="images.csv"', "x-total-count": str(first.count)}
    return StreamingResponse(_lines(searcher, query), media_type="text/csv; charset=utf-8", headers=headers)


async def parquet(request: Request) -> Response:
    """Answer with the result as Parquet."""
    try:
        importlib.import_module("pyarrow")
    except ImportError as error:
        raise Misconfigured(
            "export", "Parquet", "it needs the package pyarrow", hint="Install the extra `parquet`, or export as CSV."
        ) from error
    query, searcher = asked(request).query, parts(request).searcher
    rows = [row async for hits in _batches(searcher, query) for row in map(_row, hits)]
    body = await asyncio.to_thread(_parquet, rows)
    return Response(
        body, media_type="application/vnd.apache.parquet", headers={"content-disposition": 'attachment; filename="images.parquet"'}
    )


async def _lines(searcher: Searcher, query: Query) -> AsyncIterator[bytes]:
    header = True
    async for hits in _batches(searcher, query):
        yield await asyncio.to_thread(_csv, [_row(hit) for hit in hits], header=header)
        header = False


async def _batches(searcher: Searcher, query: Query) -> AsyncIterator[Sequence[Hit]]:
    """Yield the results from the first on; one batch at least, though it be empty."""
    for page in range(1, ROWS // _BATCH + 1):
        results = await searcher.search(_batch(query, page))
        if results.hits or page == 1:
            yield results.hits
        if page * _BATCH >= results.count:
            return


def _batch(query: Query, page: int) -> Query:
    return replace(query, facets=(), limit=_BATCH, page=page)


def _row(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.id,
        "source": hit.source,
        "name": hit.name,
        "caption": hit.caption,
        "tags": "; ".join(tag.name for tag in hit.tags),
        "confidences": "; ".join(f"{tag.confidence:.4f}" for tag in hit.tags),
        "categories": "; ".join(hit.categories),
        "properties": "; ".join(hit.properties),
        "format": hit.format,
        "width": hit.width,
        "height": hit.height,
        "bytes": hit.size,
        "group": hit.group,
        "date": hit.date.isoformat(),
    }


_COLUMNS = (
    "id",
    "source",
    "name",
    "caption",
    "tags",
    "confidences",
    "categories",
    "properties",
    "format",
    "width",
    "height",
    "bytes",
    "group",
    "date",
)


def _csv(rows: Sequence[dict[str, Any]], *, header: bool) -> bytes:
    import pandas as pd  # noqa: PLC0415  # half a second that searches do not need

    safe = [{name: _harmless(value) for name, value in row.items()} for row in rows]
    text: str = pd.DataFrame(safe, columns=list(_COLUMNS)).to_csv(index=False, header=header, lineterminator="\r\n")
    return text.encode()


def _parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    import pandas as pd  # noqa: PLC0415

    target = io.BytesIO()
    pd.DataFrame(rows, columns=list(_COLUMNS)).to_parquet(target, index=False)
    return target.getvalue()


def _harmless(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula: names and captions are other people's."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_RISKY) else value
