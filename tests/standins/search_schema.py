"""What Azure AI Search demands of index definitions and of documents. Raises BadRequest for what it would answer with 400."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.standins import odata

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_]|-(?!-)){0,126}[a-z0-9]")
_FIELD = re.compile(r"(?!azureSearch)[A-Za-z][A-Za-z0-9_]{0,127}")
_KEY = re.compile(r"(?!_)[A-Za-z0-9_=-]{1,1024}")
_ANALYZER = re.compile(r"(?:standard|keyword|pattern|simple|stop|whitespace|[a-z]{2}(?:-[A-Za-z]+)?)(?:\.(?:lucene|microsoft))?")
_PRIMITIVE = ("String", "Int32", "Int64", "Double", "Boolean", "DateTimeOffset", "GeographyPoint")
_TYPES = {"Edm.ComplexType", "Collection(Edm.ComplexType)", "Collection(Edm.Single)"}
_TYPES |= {f"Edm.{name}" for name in _PRIMITIVE} | {f"Collection(Edm.{name})" for name in _PRIMITIVE}
_DEFINITION = {
    *("name", "description", "fields", "scoringProfiles", "defaultScoringProfile", "corsOptions", "suggesters", "analyzers"),
    *("tokenizers", "tokenFilters", "charFilters", "normalizers", "similarity", "semantic", "vectorSearch", "encryptionKey"),
    *("@odata.etag", "@odata.context"),
}
_ATTRIBUTES = {
    *("name", "type", "key", "retrievable", "stored", "searchable", "filterable", "sortable", "facetable", "analyzer"),
    *("indexAnalyzer", "searchAnalyzer", "normalizer", "dimensions", "vectorSearchProfile", "vectorEncoding", "synonymMaps"),
    "fields",
}
_RANGES = {"Edm.Int32": 2**31, "Edm.Int64": 2**63}
_TERM = 32766
_OBJECTS = 3000


class BadRequest(ValueError):
    """The service would answer 400 with this message."""


@dataclass(frozen=True, slots=True)
class Column:
    """A field as it is defined, with what is left out filled in as the service does."""

    name: str
    type: str
    key: bool
    searchable: bool
    filterable: bool
    sortable: bool
    facetable: bool
    retrievable: bool
    analyzer: str
    dimensions: int
    fields: Mapping[str, Column]

    @property
    def vector(self) -> bool:
        """Say whether it holds an embedding."""
        return self.type == "Collection(Edm.Single)"

    def for_filters(self) -> odata.Field:
        """Return what filters need to know."""
        return odata.Field(self.type, self.filterable, {name: one.for_filters() for name, one in self.fields.items()})


def columns(definition: Mapping[str, Any]) -> dict[str, Column]:
    """Check a whole definition and return its fields."""
    _known(definition, _DEFINITION, "the index")
    _refuse(not _NAME.fullmatch(definition.get("name", "")), f"Invalid index name: '{definition.get('name')}'")
    found = {one["name"]: _column(one) for one in _several(definition, "fields")}
    keys = [one for one in found.values() if one.key]
    _refuse(len(keys) != 1, "The index must have exactly one key field")
    _refuse(keys[0].type != "Edm.String" or not keys[0].retrievable, "The key must be a retrievable Edm.String")
    _check_text(definition, found)
    _check_semantic(definition, found)
    _check_vectors(definition, found)
    return found


def compatible(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuse an update that changes or drops a field: that takes another index."""
    fields = {one["name"]: one for one in new["fields"]}
    for one in old["fields"]:
        loose = ("retrievable", "searchAnalyzer", "synonymMaps")
        same = {name: value for name, value in one.items() if name not in loose}
        now = {name: value for name, value in fields.get(one["name"], {}).items() if name not in loose}
        _refuse(same != now, f"Existing field '{one['name']}' cannot be changed")


def legal_key(key: object) -> bool:
    """Say whether this can be the key of a document."""
    return isinstance(key, str) and bool(_KEY.fullmatch(key))


def check_properties(document: Mapping[str, Any], fields: Mapping[str, Column]) -> None:
    """Refuse a document with a property that no field has: the whole batch is refused for it."""
    for name, value in document.items():
        if name not in fields:
            raise BadRequest(
                f"The request is invalid. Details: The property '{name}' does not exist on type 'search.documentFields'. "
                "Make sure to only use property names that are defined by the type."
            )
        inner = fields[name].fields
        for one in (value if isinstance(value, list) else [value]) if inner and value is not None else ():
            check_properties(one, inner)


def fault(document: Mapping[str, Any], fields: Mapping[str, Column]) -> str | None:
    """Return why this one document cannot be taken, None if it can."""
    objects = 0
    for name, value in document.items():
        column = fields[name]
        if column.type == "Collection(Edm.ComplexType)":
            objects += len(value or ())
        complaint = _value(column, value)
        if complaint:
            return f"'{name}': {complaint}"
    return f"more than {_OBJECTS} objects in its collections" if objects > _OBJECTS else None


def _column(one: Mapping[str, Any]) -> Column:
    name, type_ = one.get("name", ""), one.get("type", "")
    _known(one, _ATTRIBUTES, f"field '{name}'")
    _refuse(not _FIELD.fullmatch(name), f"Invalid field name: '{name}'")
    _refuse(type_ not in _TYPES, f"Unknown type '{type_}' of field '{name}'")
    complex_, vector = "ComplexType" in type_, type_ == "Collection(Edm.Single)"
    text = type_ in ("Edm.String", "Collection(Edm.String)")
    may = {
        "searchable": text or vector,
        "filterable": not complex_ and not vector,
        "sortable": not complex_ and not type_.startswith("Collection("),
        "facetable": not complex_ and not vector and "GeographyPoint" not in type_,
        "key": type_ == "Edm.String",
    }
    for attribute, allowed in may.items():
        _refuse(bool(one.get(attribute)) and not allowed, f"Field '{name}' of type {type_} cannot be {attribute}")
        _refuse(complex_ and attribute in one, f"Complex field '{name}' takes no {attribute}")
    _refuse(vector and not one.get("searchable"), f"Vector field '{name}' must be searchable")
    _refuse(vector and not 2 <= one.get("dimensions", 0) <= 4096, f"Vector field '{name}' needs from 2 to 4096 dimensions")
    _refuse(one.get("stored") is False and one.get("retrievable", False), f"'{name}' is not stored, so not retrievable")
    _refuse(one.get("stored") is False and not vector, f"'{name}' is no vector, so it is stored")
    _refuse("analyzer" in one and not (text and one.get("searchable", True)), f"Field '{name}' takes no analyzer")
    inner = {each["name"]: _column(each) for each in _several(one, "fields")}
    _refuse(complex_ != bool(inner), f"Field '{name}' and its fields do not fit")
    plain = bool(may["facetable"] and may["filterable"])
    return Column(
        name=name,
        type=type_,
        key=one.get("key", False),
        searchable=one.get("searchable", text),
        filterable=one.get("filterable", may["filterable"]),
        sortable=one.get("sortable", may["sortable"]),
        facetable=one.get("facetable", plain),
        retrievable=one.get("retrievable", True),
        analyzer=one.get("analyzer", "standard.lucene"),
        dimensions=one.get("dimensions", 0),
        fields=inner,
    )


def _check_text(definition: Mapping[str, Any], found: Mapping[str, Column]) -> None:
    filters = {one["name"] for one in _several(definition, "tokenFilters")}
    custom = {one["name"]: one for one in _several(definition, "analyzers")}
    for one in custom.values():
        _refuse("tokenizer" not in one, f"Analyzer '{one['name']}' has no tokenizer")
        unknown = [
            name for name in one.get("tokenFilters", ()) if name not in filters and name not in ("lowercase", "asciifolding")
        ]
        _refuse(bool(unknown), f"Analyzer '{one['name']}' uses unknown token filters {unknown}")
    for column in found.values():
        known = column.analyzer in custom or bool(_ANALYZER.fullmatch(column.analyzer))
        _refuse(not known, f"Unknown analyzer '{column.analyzer}' of field '{column.name}'")
    suggesters = _several(definition, "suggesters")
    _refuse(len(suggesters) > 1, "There can be only one suggester")
    for name in (name for one in suggesters for name in one["sourceFields"]):
        fits = name in found and found[name].searchable and found[name].analyzer not in custom
        _refuse(not fits, f"Suggester source field '{name}' must be searchable with a built-in analyzer")
    profiles = _several(definition, "scoringProfiles")
    for name in (name for one in profiles for name in one.get("text", {}).get("weights", {})):
        _refuse(name not in found or not found[name].searchable, f"Scoring profile field '{name}' is not searchable")
    default = definition.get("defaultScoringProfile")
    _refuse(default is not None and default not in {one["name"] for one in profiles}, f"There is no profile '{default}'")
    similarity = definition.get("similarity", {})
    _refuse(not 0 <= similarity.get("k1", 1.2) <= 3 or not 0 <= similarity.get("b", 0.75) <= 1, "BM25 takes k1 to 3 and b to 1")


def _check_semantic(definition: Mapping[str, Any], found: Mapping[str, Column]) -> None:
    semantic = definition.get("semantic") or {}
    configurations = _several(semantic, "configurations")
    for one in configurations:
        prioritized = one["prioritizedFields"]
        named = [prioritized["titleField"]] if "titleField" in prioritized else []
        named += [*_several(prioritized, "prioritizedContentFields"), *_several(prioritized, "prioritizedKeywordsFields")]
        _refuse(not named, f"Semantic configuration '{one['name']}' has no field")
        for name in (each["fieldName"] for each in named):
            fits = name in found and found[name].searchable and found[name].retrievable and not found[name].vector
            _refuse(not fits, f"Semantic field '{name}' must be a searchable, retrievable text")
    default = semantic.get("defaultConfiguration")
    _refuse(default is not None and default not in {one["name"] for one in configurations}, f"There is no '{default}'")


def _check_vectors(definition: Mapping[str, Any], found: Mapping[str, Column]) -> None:
    vectors = definition.get("vectorSearch") or {}
    profiles = {one["name"]: one for one in _several(vectors, "profiles")}
    algorithms = {one["name"] for one in _several(vectors, "algorithms")}
    compressions = {one["name"] for one in _several(vectors, "compressions")}
    for name, profile in profiles.items():
        _refuse(profile.get("algorithm") not in algorithms, f"Profile '{name}' uses an unknown algorithm")
        wrong = "compression" in profile and profile["compression"] not in compressions
        _refuse(wrong, f"Profile '{name}' uses an unknown compression")
    for one in definition["fields"]:
        wrong = found[one["name"]].vector and one.get("vectorSearchProfile") not in profiles
        _refuse(wrong, f"Vector field '{one['name']}' uses an unknown profile")


def _value(column: Column, value: Any) -> str | None:
    """Return what is wrong with a value, None if it fits its field."""
    if column.type.startswith("Collection("):
        if not isinstance(value, list):
            return "a collection is expected"
        if column.vector:
            return _vector(column, value)
        return next((complaint for one in value if (complaint := _item(column, one))), None)
    return None if value is None and not column.key else _item(column, value)


def _vector(column: Column, value: Sequence[Any]) -> str | None:
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in value):
        return "numbers are expected"
    if len(value) != column.dimensions:
        return f"The vector field, with dimension of '{column.dimensions}', expects a length of '{column.dimensions}'"
    return None


def _item(column: Column, value: Any) -> str | None:
    """Return what is wrong with one value that is not null."""
    item = column.type.removeprefix("Collection(").removesuffix(")")
    if item == "Edm.ComplexType":
        return fault(value, column.fields) if isinstance(value, dict) else "an object is expected"
    if item == "Edm.String":
        return _string(column, value)
    fits = {
        "Edm.Boolean": isinstance(value, bool),
        "Edm.Int32": isinstance(value, int) and not isinstance(value, bool),
        "Edm.Int64": isinstance(value, int) and not isinstance(value, bool),
        "Edm.Double": isinstance(value, int | float) and not isinstance(value, bool),
        "Edm.DateTimeOffset": _is_date(value),
        "Edm.GeographyPoint": _is_point(value),
    }
    if not fits[item]:
        return f"Cannot convert {value!r} to {item}"
    limit = _RANGES.get(item)
    return None if limit is None or -limit <= value < limit else f"{value} is out of the range of {item}"


def _string(column: Column, value: Any) -> str | None:
    if not isinstance(value, str):
        return f"Cannot convert {value!r} to Edm.String"
    if any("\ud800" <= character <= "\udfff" for character in value):
        return "the text is not Unicode"
    term = column.filterable or column.sortable or column.facetable
    return "the term is too long for a field that is filtered by" if term and len(value.encode()) > _TERM else None


def _is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _is_point(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("type") != "Point":
        return False
    east, north = value.get("coordinates", (999, 999))[:2]
    return bool(abs(east) <= 180 and abs(north) <= 90)


def _known(found: Mapping[str, Any], names: set[str], where: str) -> None:
    unknown = sorted(set(found) - names)
    _refuse(bool(unknown), f"The property '{unknown[:1]}' does not exist in {where}")


def _several(found: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    return found.get(name) or []


def _refuse(wrong: bool, message: str) -> None:  # noqa: FBT001  # reads as a sentence: refuse what is wrong
    if wrong:
        raise BadRequest(message)


def walk(fields: Mapping[str, Column], prefix: str = "") -> Iterator[tuple[str, Column]]:
    """Yield every field with its path."""
    for name, column in fields.items():
        yield prefix + name, column
        yield from walk(column.fields, f"{prefix}{name}/")
