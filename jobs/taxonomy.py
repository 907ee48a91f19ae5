"""Taxonomy: a business's own categories, from an image's tags by rules, or its vector by examples. Read once, then pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from jobs.errors import Misconfigured
from jobs.marked import HINT, line_of, marked, wrong
from jobs.model import Analysis, Outcome, Record
from jobs.taught import Taught, embedder_of, read

DERIVATION = 1
"""Grows with every change of what the same file says of the same tags."""

READY = Path(__file__).parent / "taxonomies"
"""The folder of the ready ones."""

_SETTING = "IMAGESWEEP_TAXONOMY"

_STRICT = ConfigDict(extra="forbid", strict=True)

_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Text = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\s\x00-\x1f](?:[^\x00-\x1f]*[^\s\x00-\x1f])?$")]


@dataclass(frozen=True, slots=True)
class Rule:
    """An image with a tag out of `any`, one out of each of `all` and none of `none` is of the category.

    A tag counts from `confidence` on. The tags are in plain form (see `plain`), with what they stand for.
    """

    category: str
    any: frozenset[str]
    all: tuple[frozenset[str], ...]
    none: frozenset[str]
    confidence: float

    def applies(self, sure: Mapping[str, float]) -> bool:
        """Say whether an image is of the category by its tags, plain names to confidence."""
        if self.any and not self._has(self.any, sure):
            return False
        return all(self._has(names, sure) for names in self.all) and not self._has(self.none, sure)

    def _has(self, names: frozenset[str], sure: Mapping[str, float]) -> bool:
        return any(sure[name] >= self.confidence for name in names.intersection(sure))


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Rules and examples by which images get categories; `categories` are in the order of the file, rules first.

    Examples (`taught`) count for vectors of one `embedder`, by its fingerprint. `fingerprint` is name, version and a hash of what
    rules and examples say: empty where there is no taxonomy.
    """

    categories: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    fingerprint: str = ""
    taught: tuple[Taught, ...] = ()
    embedder: str = ""


NO_TAXONOMY = Taxonomy()
"""No image is of any category."""


def categories(taxonomy: Taxonomy, analysis: Analysis, asked: str = "") -> tuple[str, ...]:
    """Return the categories of an image that was asked about as `asked`, in the order of the taxonomy.

    The names of objects count as tags. Where the vector is of another embedder than the examples, only rules count.
    """
    sure: dict[str, float] = {}
    seen = chain(((tag.name, tag.confidence) for tag in analysis.tags), ((one.name, one.confidence) for one in analysis.objects))
    for name, confidence in seen:
        key = plain(name)
        sure[key] = max(confidence, sure.get(key, 0.0))
    of = {rule.category for rule in taxonomy.rules if rule.applies(sure)}
    if taxonomy.taught and analysis.embedding is not None and embedder_of(asked) == taxonomy.embedder:
        of |= {one.category for one in taxonomy.taught if one.takes(analysis.embedding)}
    return tuple(category for category in taxonomy.categories if category in of)


def untaught(record: Record, taxonomy: Taxonomy) -> bool:
    """Say whether the examples of a taxonomy can say nothing of an image: it has no vector, or that of another embedder."""
    if not taxonomy.taught or record.analysis is None:
        return False
    return record.analysis.embedding is None or embedder_of(record.asked) != taxonomy.embedder


def outdated(record: Record, taxonomy: Taxonomy) -> bool:
    """Say whether a settled record has categories of another taxonomy. A deferred one gets new ones when it is tried again."""
    settled = record.outcome in (Outcome.CLASSIFIED, Outcome.REUSED) and record.analysis is not None
    return settled and record.derived != taxonomy.fingerprint


def plain(name: str) -> str:
    """Return a tag's name as it is compared: case and the width of gaps do not count."""
    return " ".join(name.casefold().split())


def ready() -> tuple[str, ...]:
    """Return the names of the taxonomies that come with the program."""
    return tuple(sorted(path.stem for path in READY.glob("*.yaml")))


def load(setting: str) -> Taxonomy:
    """Read a ready taxonomy by its name, or a file by its path (with a slash, or ending in .yaml or .yml).

    Empty is no taxonomy. Raises Misconfigured naming file and line for whatever does not say what it should.
    """
    if not setting:
        return NO_TAXONOMY
    own = "/" in setting or setting.endswith((".yaml", ".yml"))
    if not own and setting not in ready():
        hint = f"Ready ones are {', '.join(ready())}; your own is named by its path, as in ./{setting}.yaml."
        raise Misconfigured("read", _SETTING, f"there is no taxonomy {setting!r}", hint=hint)
    path = Path(setting) if own else READY / f"{setting}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise Misconfigured("read the taxonomy", str(path), cause, hint=f"Mend the path in {_SETTING}.") from error
    return parse(text, str(path))


def parse(text: str, path: str) -> Taxonomy:
    """Read the text of a taxonomy file; `path` names it in errors. Raises Misconfigured as `load` does."""
    tree, content = marked(text, path)
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        cause = f"{where}: {first['msg']}" if where else first["msg"]
        hint = "Put it in quotes." if first["type"] == "string_type" else HINT
        raise wrong(path, line_of(tree, first["loc"]), cause, hint) from error
    stands = {plain(name): [plain(other) for other in others] for name, others in file.synonyms.items()}
    rules = tuple(_rule(rule, file.confidence, stands) for rule in file.rules)
    for number, rule in enumerate(rules):
        if any(names <= rule.none for names in (*rule.all, rule.any) if names):
            raise wrong(path, line_of(tree, ("rules", number)), f"rules.{number}: it can never apply: `none` takes all of it out")
    taught = tuple(_taught(file.examples, tree, path)) if file.examples else ()
    names = tuple(dict.fromkeys([*(rule.category for rule in rules), *(one.category for one in taught)]))
    said = [(rule.category, sorted(rule.any), sorted(map(sorted, rule.all)), sorted(rule.none), rule.confidence) for rule in rules]
    embedder = file.examples.embedder if file.examples else ""
    shown = [[embedder, [(one.category, one.threshold, one.direction.hex()) for one in taught]]] if taught else []
    digest = hashlib.sha256(json.dumps([DERIVATION, said, *shown]).encode()).hexdigest()[:12]
    return Taxonomy(names, rules, f"{file.name}/{file.version}/{digest}", taught, embedder)


class _Rule(BaseModel):
    model_config = _STRICT

    category: _Text
    any: list[_Text] = []
    all: list[_Text] = []
    none: list[_Text] = []
    confidence: _Share | None = None

    @model_validator(mode="after")
    def _says_something(self) -> _Rule:
        if not (self.any or self.all or self.none):
            raise ValueError("the rule names no tag under any, all or none")
        return self


class _Taught(BaseModel):
    model_config = _STRICT

    category: _Text
    pictures: Annotated[int, Field(ge=2)]
    threshold: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
    direction: str


class _Examples(BaseModel):
    model_config = _STRICT

    embedder: Annotated[str, Field(min_length=1)]
    categories: Annotated[list[_Taught], Field(min_length=1)]


class _File(BaseModel):
    model_config = _STRICT

    name: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,49}$")]
    version: Annotated[int, Field(ge=1)]
    description: str = ""
    confidence: _Share = 0.0
    synonyms: dict[_Text, Annotated[list[_Text], Field(min_length=1)]] = {}
    rules: list[_Rule] = []
    examples: _Examples | None = None

    @model_validator(mode="after")
    def _gives_something(self) -> _File:
        if not self.rules and self.examples is None:
            raise ValueError("the file has neither rules nor examples")
        return self


def _taught(examples: _Examples, tree: yaml.Node | None, path: str) -> Iterator[Taught]:
    names: set[str] = set()
    for number, one in enumerate(examples.categories):
        place = ("examples", "categories", number)
        if one.category in names:
            raise wrong(path, line_of(tree, place), f"examples: {one.category!r} is there twice", "Teach it again.")
        names.add(one.category)
        try:
            yield Taught(one.category, one.threshold, read(one.direction))
        except ValueError as error:
            raise wrong(path, line_of(tree, (*place, "direction")), f"examples: {one.category}: {error}") from error


def _rule(rule: _Rule, confidence: float, stands: Mapping[str, Iterable[str]]) -> Rule:
    def with_synonyms(names: Iterable[str]) -> frozenset[str]:
        found: set[str] = set()
        waiting = [plain(name) for name in names]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(stands.get(name, ()))
        return frozenset(found)

    return Rule(
        category=rule.category,
        any=with_synonyms(rule.any),
        all=tuple(with_synonyms([name]) for name in rule.all),
        none=with_synonyms(rule.none),
        confidence=confidence if rule.confidence is None else rule.confidence,
    )
