"""Categories by example: what is learned, what is refused, and what a picture has to be like."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import Misconfigured, Rejected, Transient
from jobs.model import Image, Limits
from jobs.retry import Policy
from jobs.taught import Taught, Vector, direction, embedder_of, read, spelled, unit
from jobs.teach import Teaching, learned, teach
from tests.conftest import Run

LENGTH = 16


def near(axis: int, seed: int, noise: float = 0.1) -> Vector:
    """Return a vector of length one that points nearly along an axis."""
    made = np.random.default_rng(seed).normal(0, noise, LENGTH).astype(np.float32)
    made[axis] += 1
    return made / np.float32(np.linalg.norm(made))


def several(axis: int, number: int, noise: float = 0.1) -> Vector:
    return np.stack([near(axis, axis * 1000 + at, noise) for at in range(number)])


class Axes:
    """An embedder of files that say along which axis they point."""

    asked = "axes:1"
    price = 0.0
    limits = Limits(frozenset({"JPEG"}), 1, 100, 1000)

    def __init__(self) -> None:
        self.names: list[str] = []

    async def embed(self, image: Image) -> bytes:
        self.names.append(image.name)
        words = image.data.decode(errors="replace").split()
        if not words or not words[0].isdecimal():
            raise Rejected("embed", image.name, "the bytes are not those of an image", failure_class="not-an-image")
        return near(int(words[0]), int(hashlib.sha256(image.data).hexdigest()[:8], 16)).tobytes()


def shelf(folder: Path, name: str, *contents: bytes) -> list[Path]:
    (folder / name).mkdir()
    paths = [folder / name / f"{at}.jpg" for at in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def taught(run: Run, folders: dict[str, list[Path]], against: list[Path] | None = None) -> Teaching:
    policy = Policy(attempts=1, seconds=1, base=0.01, cap=0.01)
    return run(teach(embedder=Axes(), folders=folders, against=against or (), policy=policy))


def test_what_is_apart_is_learned_whole() -> None:
    for lesson in learned({"a": several(0, 5), "b": several(1, 5), "": several(2, 9)}):
        assert (lesson.pictures, lesson.recalled, lesson.others, lesson.wrong) == (5, 5, 14, 0)
        axis = "ab".index(lesson.taught.category)
        assert lesson.taught.takes(near(axis, 77).tobytes())
        assert not lesson.taught.takes(near(1 - axis, 77).tobytes())


def test_what_is_not_apart_says_so() -> None:
    lessons = learned({"a": several(0, 6, noise=2), "b": several(0, 6, noise=2)})
    assert any(lesson.recalled < lesson.pictures or lesson.wrong for lesson in lessons)


def test_a_picture_that_is_left_out_does_not_speak_for_itself() -> None:
    pair = np.stack([near(0, 1, 0.0), near(1, 1, 0.0)])
    (lesson,) = learned({"a": pair, "": several(2, 9)})
    assert lesson.taught.threshold > float(pair[0] @ pair[1])
    assert lesson.recalled == 0


@given(st.lists(st.integers(0, 2**16), min_size=1, max_size=5), st.integers(0, LENGTH - 1))
def test_a_direction_is_that_of_the_mean_and_survives_its_text(seeds: list[int], axis: int) -> None:
    vectors = np.stack([near(axis, seed) for seed in seeds])
    mean = vectors.sum(axis=0)
    found = read("\n  ".join([spelled(direction(vectors))[:9], spelled(direction(vectors))[9:]]))
    assert float(unit(found) @ mean / np.linalg.norm(mean)) > 0.999


@pytest.mark.parametrize("text", ["", "abc", "!!!!", "AAAAAAAAAAAAAAAA", "é" * 20, "QUJD"])
def test_what_is_no_direction_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="teach it again"):
        read(text)


@pytest.mark.parametrize("embedding", [b"", b"123", near(0, 1)[:4].tobytes(), np.full(LENGTH, np.nan, "<f4").tobytes()])
def test_a_vector_of_another_length_or_of_nothing_is_never_taken(embedding: bytes) -> None:
    assert not Taught("a", -1.0, direction(several(0, 2))).takes(embedding)


@pytest.mark.parametrize(
    ("asked", "embedder"),
    [
        ("onnx:lite@1.1", "onnx:lite@1.1"),
        ("azure-vision:tags@latest|onnx:lite@1.1", "onnx:lite@1.1"),
        ("onnx:lite@1.1|none", "none"),
        ("cascade:onnx:lite@1.1>0.8+dog>azure-vision:tags@latest", "onnx:lite@1.1"),
        ("cascade:onnx:lite@1.1>0.8>azure-vision:tags|azure-vision:embed@1", "azure-vision:embed@1"),
    ],
)
def test_whose_a_vector_is(asked: str, embedder: str) -> None:
    assert embedder_of(asked) == embedder


def test_hostile_pictures_are_left_out_and_the_rest_goes_on(run: Run, tmp_path: Path) -> None:
    dogs = shelf(tmp_path, "dogs", b"0 a", b"0 b", b"0 b", b"no image", b"", b"0" * 2000)
    os.mkfifo(tmp_path / "dogs/pipe")
    cats = shelf(tmp_path, "cats", b"1 a", b"1 b")
    missing = tmp_path / "dogs/missing.jpg"
    found = taught(run, {"cats": cats, "dogs": [*dogs, tmp_path / "dogs/pipe", missing]})
    assert [(one.taught.category, one.pictures, one.recalled) for one in found.lessons] == [("cats", 2, 2), ("dogs", 2, 2)]
    reasons = {Path(name).name: reason for name, reason in found.skipped}
    assert reasons.keys() == {"2.jpg", "3.jpg", "4.jpg", "5.jpg", "pipe", "missing.jpg"}
    assert reasons["2.jpg"] == "its bytes are those of another picture of the category"
    assert "2,000 bytes" in reasons["5.jpg"]
    assert reasons["pipe"] == "it is no file"
    assert (found.embedder, found.calls) == ("axes:1", 7)


@pytest.mark.parametrize(("contents", "said"), [((b"0 a",), "1 of its"), ((), "0 of its"), ((b"0 a", b"0 a"), "1 of its")])
def test_a_category_takes_two_pictures(run: Run, tmp_path: Path, contents: tuple[bytes, ...], said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        taught(run, {"dogs": shelf(tmp_path, "dogs", *contents), "cats": shelf(tmp_path, "cats", b"1 a", b"1 b")})


def test_one_category_takes_pictures_that_are_none(run: Run, tmp_path: Path) -> None:
    dogs = shelf(tmp_path, "dogs", b"0 a", b"0 b")
    with pytest.raises(Misconfigured, match="nothing to tell it from"):
        taught(run, {"dogs": dogs})
    (lesson,) = taught(run, {"dogs": dogs}, shelf(tmp_path, "none", b"1 a", b"2 a", b"3 a")).lessons
    assert (lesson.others, lesson.wrong, lesson.recalled) == (3, 0, 2)


def test_an_embedder_that_is_away_ends_it(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_: Axes, image: Image) -> bytes:
        raise Transient("embed", image.name, "it does not answer")

    monkeypatch.setattr(Axes, "embed", away)
    with pytest.raises(Transient):
        taught(run, {"dogs": shelf(tmp_path, "dogs", b"0 a", b"0 b")})
