"""Categories by rules: what a file may say, what it says of tags, and what the ready ones make of real pictures."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.adapters.onnx_model import open_onnx
from jobs.errors import Misconfigured
from jobs.model import Analysis, Box, Facts, Image, Outcome, Region, Tag
from jobs.properties import name_pattern, properties
from jobs.taxonomy import NO_TAXONOMY, READY, categories, load, outdated, parse, ready
from tests.conftest import Run
from tests.pictures import picture

ROOT = Path(__file__).parents[2]
PETS = """
name: pets
version: 3
confidence: 0.5
synonyms:
  pet: [dog, Cat]
  dog: [puppy]
rules:
  - category: pets
    any: [pet]
    none: [wolf]
  - category: walks
    all: [pet, outdoor]
    confidence: 0.2
  - category: calm
    none: [pet]
  - category: pets
    all: [aquarium]
"""


def seen(*tags: tuple[str, float], objects: Sequence[tuple[str, float]] = ()) -> Analysis:
    regions = tuple(Region(name, confidence, Box(0, 0, 1, 1)) for name, confidence in objects)
    return Analysis(tuple(Tag(*tag) for tag in tags), "", 0.0, Facts(1, 1, "JPEG"), "model 1", objects=regions)


@pytest.mark.parametrize(
    ("analysis", "expected"),
    [
        (seen(("dog", 0.5)), ("pets",)),
        (seen(("dog", 0.49)), ("calm",)),
        (seen(("puppy", 0.9)), ("pets",)),
        (seen(("  CAT ", 0.9)), ("pets",)),
        (seen(("dog", 0.9), ("Outdoor", 0.2)), ("pets", "walks")),
        (seen(("dog", 0.2), ("outdoor", 0.9)), ("walks", "calm")),
        (seen(("dog", 0.9), ("wolf", 0.5)), ()),
        (seen(("dog", 0.9), ("wolf", 0.49)), ("pets",)),
        (seen(("aquarium", 0.6)), ("pets", "calm")),
        (seen(objects=[("dog", 0.7)]), ("pets",)),
        (seen(("dog", 0.1), objects=[("dog", 0.7)]), ("pets",)),
        (seen(), ("calm",)),
    ],
)
def test_rules_give_categories_in_the_order_of_the_file(analysis: Analysis, expected: tuple[str, ...]) -> None:
    assert categories(parse(PETS, "pets.yaml"), analysis) == expected


def test_without_a_taxonomy_there_are_no_categories() -> None:
    assert load("") is NO_TAXONOMY
    assert categories(NO_TAXONOMY, seen(("dog", 1.0))) == ()
    assert NO_TAXONOMY.fingerprint == ""


def test_the_fingerprint_moves_with_what_the_rules_say_and_with_nothing_else() -> None:
    first = parse(PETS, "pets.yaml").fingerprint
    assert first.startswith("pets/3/")
    same = PETS.replace("rules:", "description: Pets.\nrules:  # by hand").replace("[dog, Cat]", "[cat, dog]")
    assert parse(same, "elsewhere.yaml").fingerprint == first
    for old, new in [("version: 3", "version: 4"), ("Cat", "Kitten"), ("0.2", "0.3"), ("[aquarium]", "[tank]"), ("calm", "still")]:
        assert old in PETS
        assert parse(PETS.replace(old, new), "pets.yaml").fingerprint != first


@pytest.mark.parametrize(
    ("old", "new", "line", "cause", "hint"),
    [
        ("any: [pet]", "anny: [pet]", 10, "rules.0.anny: Extra inputs are not permitted", "docs/operations.md"),
        ("all: [pet, outdoor]", "all: [pet, yes]", 13, "rules.1.all.1: Input should be a valid string", "in quotes"),
        ("confidence: 0.2", "confidence: 20", 14, "rules.1.confidence: Input should be less than or equal to 1", ""),
        ("version: 3", "version: '3'", 3, "version: Input should be a valid integer", ""),
        ("name: pets", "name: My Pets", 2, "name: String should match pattern", ""),
        ("dog: [puppy]", "dog: []", 7, "synonyms.dog: List should have at least 1 item", ""),
        ("dog: [puppy]", "pet: [puppy]", 7, "'pet' is there twice", "Join"),
        ("none: [wolf]", "none: [dog, cat, pet]", 9, "rules.0: it can never apply", ""),
        ("    none: [pet]\n", "", 15, "rules.2: Value error, the rule names no tag", ""),
        ("category: calm", "category: ' calm'", 15, "rules.2.category: String should match pattern", ""),
        ("rules:", "rules: [", 9, "it is no YAML", ""),
        ("[dog, Cat]", "!!python/object:os.system [dog]", 6, "it is no YAML: could not determine a constructor", ""),
        ("[dog, Cat]", "[2026-13-45]", None, "it is no YAML: month must be", ""),
    ],
)
def test_each_mistake_is_said_with_its_line(old: str, new: str, line: int | None, cause: str, hint: str) -> None:
    assert old in PETS
    with pytest.raises(Misconfigured) as raised:
        parse(PETS.replace(old, new), "my/pets.yaml")
    assert raised.value.key == (f"my/pets.yaml, line {line}" if line else "my/pets.yaml")
    assert cause in raised.value.cause
    assert hint in raised.value.hint
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "[]", "just words", "name: pets\nversion: 1\nrules: []\n", "\x00"])
def test_what_is_no_taxonomy_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match=r"t\.yaml"):
        parse(text, "t.yaml")


def test_a_file_is_found_by_its_path_and_a_ready_one_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "pets.yaml").write_text(PETS)
    assert load(str(tmp_path / "pets.yaml")).fingerprint.startswith("pets/3/")
    assert load("fashion").fingerprint.startswith("fashion/")
    with pytest.raises(Misconfigured, match=r"Ready ones are fashion, games, insurance; .*\./cars\.yaml"):
        load("cars")
    with pytest.raises(Misconfigured, match="No such file"):
        load(str(tmp_path / "cars.yaml"))
    (tmp_path / "latin.yml").write_bytes(b"name: caf\xe9")
    with pytest.raises(Misconfigured, match="UTF-8"):
        load(str(tmp_path / "latin.yml"))


def test_the_example_of_the_documentation_reads_as_it_says() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    shoes = parse(example, "docs/operations.md")
    assert categories(shoes, seen(("boot", 0.3))) == ("footwear",)
    assert categories(shoes, seen(("sneaker", 0.6), ("person", 0.6))) == ("footwear", "worn")
    assert categories(shoes, seen(("sneaker", 0.6), ("person", 0.6), ("mannequin", 0.5))) == ("footwear",)
    (pattern,) = re.findall(r"`(\(\?P<season>[^`]*)`", text)
    assert properties("catalog/ss26/123456-back.jpg", name_pattern(pattern)) == (("season", "ss26"), ("sku", "123456"))


def test_only_settled_records_are_outdated() -> None:
    pets = parse(PETS, "pets.yaml")
    record = picture("dog.jpg", ("dog", 0.9))
    assert outdated(record, pets)
    assert not outdated(record, NO_TAXONOMY)
    assert not outdated(replace(record, derived=pets.fingerprint), pets)
    assert outdated(replace(record, derived=pets.fingerprint), NO_TAXONOMY)
    assert outdated(replace(record, outcome=Outcome.REUSED), pets)
    for outcome in (Outcome.DEFERRED, Outcome.DEAD, Outcome.GONE, Outcome.FORGOTTEN, None):
        assert not outdated(replace(record, outcome=outcome), pets)
    assert not outdated(replace(record, analysis=None), pets)


_names = st.sampled_from(["dog", "cat", "puppy", "outdoor", "wolf", "aquarium", "Dog", "other"])
_seen = st.lists(st.tuples(_names, st.floats(0, 1)), max_size=6).map(lambda tags: seen(*tags))


@given(_seen)
def test_categories_are_some_of_the_taxonomy_in_its_order(analysis: Analysis) -> None:
    pets = parse(PETS, "pets.yaml")
    found = categories(pets, analysis)
    assert list(found) == [category for category in pets.categories if category in found]
    assert categories(pets, replace(analysis, tags=analysis.tags[::-1])) == found


# The ready ones


@pytest.fixture(scope="module")
def words() -> set[str]:
    """Return the words of the local model."""
    path = ROOT / "jobs/adapters/models/efficientnet-lite0/vocabulary.json.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return {word for word, *_ in json.load(file)["tags"]}


def test_the_ready_ones_are_there() -> None:
    assert ready() == ("fashion", "games", "insurance")
    assert all(load(name).fingerprint.startswith(f"{name}/") for name in ready())
    assert {path.suffix for path in READY.iterdir()} == {".yaml"}


NEEDS_AZURE = {"broken glass", "collision", "fire", "number plate", "storm", "water"}


@pytest.mark.parametrize("name", ready())
def test_the_local_model_can_reach_each_category_that_does_not_say_otherwise(name: str, words: set[str]) -> None:
    taxonomy = load(name)
    reached = {
        rule.category for rule in taxonomy.rules if (not rule.any or rule.any & words) and all(names & words for names in rule.all)
    }
    assert set(taxonomy.categories) - reached == (NEEDS_AZURE if name == "insurance" else set())


# Tags of the kind that Azure AI Vision gives; what the local model says of real pictures comes below.
PICTURES = [
    ("fashion", seen(("clothing", 0.99), ("person", 0.98), ("dress", 0.93), ("day dress", 0.88)), ("dresses", "worn")),
    ("fashion", seen(("footwear", 0.97), ("sneakers", 0.9), ("shoe", 0.88)), ("footwear",)),
    ("fashion", seen(("clothing", 0.8), ("outerwear", 0.78), ("coat", 0.7), ("trench coat", 0.61)), ("outerwear",)),
    ("fashion", seen(("headgear", 0.9), ("helmet", 0.9), ("crash helmet", 0.88)), ()),
    ("fashion", seen(("accessory", 0.8), ("sunglasses", 0.92), ("eyewear", 0.9)), ("eyewear",)),
    ("insurance", seen(("vehicle", 0.99), ("land vehicle", 0.98), ("accident", 0.8)), ("motor vehicle", "collision")),
    ("insurance", seen(("house", 0.9), ("flood", 0.85), ("water", 0.8)), ("building", "water")),
    ("insurance", seen(("text", 0.99), ("receipt", 0.9), ("handwriting", 0.6)), ("document",)),
    ("insurance", seen(("glass", 0.9), ("broken", 0.6)), ("broken glass",)),
    ("games", seen(("screenshot", 0.96), ("castle", 0.7)), ("fantasy and history", "menus and text")),
    ("games", seen(("shooter game", 0.9), ("mountain", 0.7)), ("combat",)),
    ("games", seen(("vehicle", 0.9), ("motor vehicle", 0.9), ("race car", 0.8)), ("driving",)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "analysis", "expected"), PICTURES)
def test_the_ready_ones_say_what_such_pictures_show(name: str, analysis: Analysis, expected: tuple[str, ...]) -> None:
    assert categories(load(name), analysis) == expected


SAMPLES = {
    "animals/dog.webp": {"fashion": ("no product",), "insurance": ("animals",), "games": ("animals",)},
    "animals/cow.jpg": {"fashion": ("no product",), "insurance": ("animals",), "games": ("animals",)},
    "animals/jaguar.webp": {"fashion": ("no product",), "insurance": (), "games": ("animals",)},
    "monuments/citede-carcassonne.webp": {
        "fashion": ("no product",), "insurance": ("building",), "games": ("fantasy and history",),
    },
    "monuments/pontdu-gard.webp": {"fashion": (), "insurance": ("building",), "games": ()},
    "others/chair.webp": {"fashion": (), "insurance": ("household contents",), "games": ()},
    "others/volleyball.jpg": {"fashion": (), "insurance": ("sports equipment",), "games": ("sports",)},
    "tools/hammer8.webp": {"fashion": (), "insurance": ("tools and machines",), "games": ()},
    "renewable/dam5.webp": {"fashion": (), "insurance": (), "games": ("landscape",)},
}  # fmt: skip


def test_the_ready_ones_say_what_the_samples_show(run: Run) -> None:
    async def answers() -> dict[str, Analysis]:
        async with open_onnx("efficientnet-lite0", workers=1, max_bytes=10_000_000, max_pixels=10**7) as model:
            return {name: await model.classify(Image(name, (ROOT / "samples" / name).read_bytes())) for name in SAMPLES}

    found = {name: {each: categories(load(each), answer) for each in ready()} for name, answer in run(answers()).items()}
    assert found == SAMPLES
