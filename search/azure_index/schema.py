"""What an index is made of: `search/index.json`, its version, and whether the one that is there is of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jobs.errors import Misconfigured
from search.azure_index.compile import SELECT
from search.azure_index.errors import FORBIDDEN, REBUILD
from search.azure_index.place import Place
from search.azure_index.service import Service

SCHEMA = 3
"""Grows with every change of the fields or of what they hold; it is in the description of `search/index.json`."""

_SCHEMA = re.compile(r"imagesweep schema (\d+)")


def definition(name: str, *, dimensions: int | None) -> dict[str, Any]:
    """Return the definition with this name and so many numbers in an embedding; None leaves vectors out."""
    read: dict[str, Any] = json.loads(files("search").joinpath("index.json").read_text(encoding="utf-8"))
    read["name"] = name
    if dimensions is None:
        read["fields"] = [field for field in read["fields"] if field["name"] != "embedding"]
        del read["vectorSearch"]
    for field in read["fields"]:
        if field["name"] == "embedding":
            field["dimensions"] = dimensions
    return read


async def verify(service: Service, *, dimensions: int | None) -> None:
    """Raise Misconfigured where there is no index of this name, or one of another schema, or for other vectors.

    An identity that may write documents but not read definitions learns of another schema by a query for the fields of this one.
    """
    name = service.place.name
    found = await service.look("open", f"/indexes('{name}')", unless=FORBIDDEN)
    if found is None:
        probe = {"search": "*", "top": 0, "select": ",".join(SELECT)}
        await service.must("open", "POST", f"/indexes('{name}')/docs/search.post.search", probe)
    else:
        checked(service.place, found, dimensions=dimensions)


def checked(place: Place, found: Mapping[str, Any], *, dimensions: int | None) -> None:
    """Raise Misconfigured for a definition that is not of this schema, or not for vectors of so many numbers."""
    schema = _SCHEMA.search(found.get("description") or "")
    if schema is None:
        raise Misconfigured("open", str(place), "this index is not one of ours", hint="Choose another name for the index.")
    if int(schema[1]) != SCHEMA:
        raise Misconfigured("open", str(place), f"the index has schema {schema[1]}, this program needs {SCHEMA}", hint=REBUILD)
    made_for = next((field.get("dimensions") for field in found["fields"] if field["name"] == "embedding"), None)
    if dimensions is not None and made_for != dimensions:
        cause = f"the index was made for vectors of {made_for or 'no'} numbers, the embedder gives {dimensions}"
        raise Misconfigured("open", str(place), cause, hint=REBUILD)
