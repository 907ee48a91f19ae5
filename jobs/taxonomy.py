"""Taxonomy: a business's own categories, from the tags of an image by rules. Read once from a file, then pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from jobs.errors import Misconfigured
from jobs.model import Analysis, Outcome, Record

DERIVATION = 1
"""Grows with every change of what the same file says of the same tags."""

READY = Path(__file__).parent / "taxonomies"
"""The folder of the ready ones."""

_SETTING = "IMAGESWEEP_TAXONOMY"
_HINT = "docs/operations.md, section Taxonomy, says how the file reads."
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
    """Rules by which images get categories; `categories` are in the order of the file.

    `fingerprint` is name, version and a hash of what the rules say: empty where there is no taxonomy.
    """

    categories: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    fingerprint: str = ""


NO_TAXONOMY = Taxonomy()
"""No image is of any category."""


def categories(taxonomy: Taxonomy, analysis: Analysis) -> tuple[str, ...]:
    """Return the categories of an image, in the order of the taxonomy. The names of objects count as tags."""
    sure: dict[str, float] = {}
    seen = chain(((tag.name, tag.confidence) for tag in analysis.tags), ((one.name, one.confidence) for one in analysis.objects))
    for name, confidence in seen:
        key = plain(name)
        sure[key] = max(confidence, sure.get(key, 0.0))
    of = {rule.category for rule in taxonomy.rules if rule.applies(sure)}
    return tuple(category for category in taxonomy.categories if category in of)


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
    tree, content = _tree(text, path)
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        cause = f"{where}: {first['msg']}" if where else first["msg"]
        hint = "Put it in quotes." if first["type"] == "string_type" else _HINT
        raise _wrong(path, _line(tree, first["loc"]), cause, hint) from error
    stands = {plain(name): [plain(other) for other in others] for name, others in file.synonyms.items()}
    rules = tuple(_rule(rule, file.confidence, stands) for rule in file.rules)
    for number, rule in enumerate(rules):
        if any(names <= rule.none for names in (*rule.all, rule.any) if names):
            raise _wrong(path, _line(tree, ("rules", number)), f"rules.{number}: it can never apply: `none` takes all of it out")
    names = tuple(dict.fromkeys(rule.category for rule in rules))
    said = [(rule.category, sorted(rule.any), sorted(map(sorted, rule.all)), sorted(rule.none), rule.confidence) for rule in rules]
    digest = hashlib.sha256(json.dumps([DERIVATION, said]).encode()).hexdigest()[:12]
    return Taxonomy(names, rules, f"{file.name}/{file.version}/{digest}")


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


class _File(BaseModel):
    model_config = _STRICT

    name: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,49}$")]
    version: Annotated[int, Field(ge=1)]
    description: str = ""
    confidence: _Share = 0.0
    synonyms: dict[_Text, Annotated[list[_Text], Field(min_length=1)]] = {}
    rules: Annotated[list[_Rule], Field(min_length=1)]


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


def _tree(text: str, path: str) -> tuple[yaml.Node | None, object]:
    """Return the nodes of the text, for their lines, and what they say.

    Raises Misconfigured where it is no YAML, or says a thing twice.
    """
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise _wrong(path, line, f"it is no YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _wrong(path, None, f"it is no YAML: {str(error).splitlines()[0]}") from error
    seen: set[int] = set()
    waiting = [tree] if tree else []
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            _once(node, path)
            waiting.extend(value for _, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
    return tree, content


def _once(node: yaml.MappingNode, path: str) -> None:
    names: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value in names:
            raise _wrong(path, key.start_mark.line + 1, f"{key.value!r} is there twice", "Join the two.")
        names.add(str(key.value))


def _line(node: yaml.Node | None, place: tuple[int | str, ...]) -> int | None:
    """Return the line, from 1, of the innermost node on the way to a place in the file."""
    for step in place:
        inner: Any = None
        if isinstance(node, yaml.MappingNode):
            inner = next((value for key, value in node.value if key.value == step), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            inner = node.value[step]
        if inner is None:
            break
        node = inner
    return node.start_mark.line + 1 if node else None


def _wrong(path: str, line: int | None, cause: str, hint: str = _HINT) -> Misconfigured:
    return Misconfigured("read the taxonomy", f"{path}, line {line}" if line else path, cause, hint=hint)
