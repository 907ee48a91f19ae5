from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from jobs.adapters.vocabulary import HINT, LEAST, MOST, NOTHING, SURE, Vocabulary, article
from jobs.model import Tag

FOLDER = Path(__file__).parents[2] / "jobs/adapters/models/efficientnet-lite0"
FILE = FOLDER / "vocabulary.json.gz"
CONTENT: dict[str, Any] = json.loads(gzip.decompress(FILE.read_bytes()))
CLASSES = {synset: number for number, (synset, _) in enumerate(CONTENT["classes"])}
COVERS = {word: frozenset(classes) for word, _, classes in CONTENT["tags"]}
VOCABULARY = Vocabulary.load(FILE)
HEN, COCK, HAMMER, CASTLE, SHEPHERD = (CLASSES[f"n{n}"] for n in ("01514859", "01514668", "03481172", "02980441", "02106662"))
BIRD, MACHINE = CLASSES["n02012849"], CLASSES["n03126707"]  # both are "crane"


def probs(**shares: float) -> NDArray[np.float32]:
    """Probabilities by class number, as `_7=0.5`."""
    made = np.zeros(1000, dtype=np.float32)
    for number, share in shares.items():
        made[int(number[1:])] = share
    return made


def at(*pairs: tuple[int, float]) -> NDArray[np.float32]:
    return probs(**{f"_{number}": share for number, share in pairs})


def confidences(tags: tuple[Tag, ...]) -> dict[str, float]:
    return {tag.name: tag.confidence for tag in tags}


answers = arrays.arrays(np.float32, 1000, elements=st.floats(0, 1, width=32), fill=st.just(np.float32(0)))
likely = answers.map(lambda made: (made / max(float(made.sum()), 1.0)).astype(np.float32))


def test_an_unsure_hen_is_still_a_bird() -> None:
    tags = confidences(VOCABULARY.tags(at((HEN, 0.3), (COCK, 0.3))))
    assert tags["bird"] == tags["animal"] == tags["chicken"] == 0.6
    assert tags["hen"] == tags["rooster"] == 0.3


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (SHEPHERD, {"german shepherd", "sheepdog", "dog", "canine", "mammal", "animal"}),
        (HAMMER, {"hammer", "hand tool", "tool"}),
        (CASTLE, {"castle", "building"}),
        (HEN, {"hen", "chicken", "bird", "animal"}),
    ],
)
def test_people_find_the_words_that_they_search_for(number: int, words: set[str]) -> None:
    assert words <= {tag.name for tag in VOCABULARY.tags(at((number, 0.9)))}


@pytest.mark.parametrize(
    "word", ["entity", "object", "artifact", "instrumentality", "whole", "organism", "unit", "matter", "chordate"]
)
def test_words_that_say_nothing_are_no_tags(word: str) -> None:
    assert word not in COVERS


def test_every_class_has_a_word_of_its_own_and_few_of_them() -> None:
    for number in range(1000):
        tags = VOCABULARY.tags(at((number, 1.0)))
        assert 1 <= len(tags) <= MOST, CONTENT["classes"][number]
        assert len(COVERS[tags[0].name]) <= 3, CONTENT["classes"][number]


def test_one_word_may_stand_for_two_classes_that_stay_apart() -> None:
    assert {BIRD, MACHINE} == COVERS["crane"]
    assert confidences(VOCABULARY.tags(at((BIRD, 0.4), (MACHINE, 0.4))))["crane"] == 0.8
    assert "bird" not in confidences(VOCABULARY.tags(at((MACHINE, 0.9))))


def test_equally_sure_words_are_ordered_from_the_specific_to_the_general() -> None:
    names = [tag.name for tag in VOCABULARY.tags(at((SHEPHERD, 0.9)))]
    assert names.index("german shepherd") < names.index("sheepdog") < names.index("dog") < names.index("animal")


@given(likely)
def test_tags_are_few_unique_sorted_and_within_bounds(made: NDArray[np.float32]) -> None:
    tags = VOCABULARY.tags(made)
    assert len(tags) <= MOST
    assert len({tag.name for tag in tags}) == len(tags)
    assert all(LEAST <= tag.confidence <= 1 and tag.confidence == round(tag.confidence, 4) for tag in tags)
    assert all(one.confidence >= two.confidence for one, two in itertools.pairwise(tags))


@given(likely)
def test_a_hypernym_is_never_less_sure_than_its_hyponym(made: NDArray[np.float32]) -> None:
    tags = VOCABULARY.tags(made)
    for general, special in itertools.permutations(tags, 2):
        if COVERS[special.name] <= COVERS[general.name]:
            assert general.confidence >= special.confidence


@given(likely)
def test_a_word_that_is_left_out_is_no_surer_than_those_that_are_in(made: NDArray[np.float32]) -> None:
    tags = confidences(VOCABULARY.tags(made))
    least = min(tags.values()) if len(tags) == MOST else LEAST
    for word, classes in COVERS.items():
        if word not in tags:
            assert made[list(classes)].astype(np.float64).sum() <= least + 1e-3


def test_a_sum_a_little_above_one_is_one() -> None:
    assert VOCABULARY.tags(at((HEN, 0.5001), (COCK, 0.5001)))[0].confidence == 1.0


def test_a_batch_is_its_pictures_one_by_one() -> None:
    made = np.random.default_rng(1).dirichlet(np.full(1000, 0.005), 9).astype(np.float32)
    assert VOCABULARY.batch(made) == [VOCABULARY.tags(row) for row in made]


def test_tags_take_no_time() -> None:
    made = np.random.default_rng(1).dirichlet(np.full(1000, 0.01)).astype(np.float32)
    begin = time.perf_counter()
    for _ in range(200):
        VOCABULARY.caption(VOCABULARY.tags(made))
    assert (time.perf_counter() - begin) / 200 < 0.001


def test_a_caption_claims_no_more_than_the_tags_do() -> None:
    for share, text in (
        (0.9, "a photo of a German shepherd"),
        (SURE, "a photo of a German shepherd"),
        (HINT, "possibly a German shepherd"),
    ):
        caption, confidence = VOCABULARY.caption(VOCABULARY.tags(at((SHEPHERD, share))))
        assert caption == text
        assert confidence == pytest.approx(share)
    assert VOCABULARY.caption(VOCABULARY.tags(at((SHEPHERD, HINT - 0.01)))) == (NOTHING, 0.0)
    assert VOCABULARY.caption(()) == (NOTHING, 0.0)


def test_a_caption_prefers_the_surely_general_to_the_doubtfully_special() -> None:
    assert VOCABULARY.caption(VOCABULARY.tags(at((HEN, 0.3), (COCK, 0.3))))[0] == "a photo of a chicken"


@given(likely)
def test_every_caption_names_a_tag(made: NDArray[np.float32]) -> None:
    tags = VOCABULARY.tags(made)
    caption, confidence = VOCABULARY.caption(tags)
    assert (caption == NOTHING) == (confidence == 0.0)
    assert caption == NOTHING or any(caption.endswith(VOCABULARY.phrases[tag.name]) for tag in tags)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("hen", "a"),
        ("owl", "an"),
        ("hourglass", "an"),
        ("unicycle", "a"),
        ("ungulate", "an"),
        ("umbrella", "an"),
        ("ATM", "an"),
        ("ox", "an"),
    ],
)
def test_the_article_goes_by_the_sound(word: str, expected: str) -> None:
    assert article(word) == expected


def test_words_of_mass_and_pairs_take_no_article() -> None:
    assert {VOCABULARY.phrases[word] for word in ("food", "sunglasses", "furniture")} == {"food", "sunglasses", "furniture"}


def test_the_model_folder_is_what_its_checksums_say() -> None:
    lines = dict(line.split()[::-1] for line in (FOLDER / "SHA256SUMS").read_text().splitlines())
    assert set(lines) == {"model.onnx", "vocabulary.json.gz"}
    assert all(hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest for name, digest in lines.items())


@pytest.mark.parametrize("content", [b"", b"not gzip", gzip.compress(b"not json", mtime=0), gzip.compress(b"{}", mtime=0)])
def test_another_file_is_no_vocabulary(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "vocabulary.json.gz"
    file.write_bytes(content)
    with pytest.raises((OSError, EOFError, ValueError, KeyError)):
        Vocabulary.load(file)
