"""Two paid answers as one: neither is lost or paid twice when the other fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from jobs import embed
from jobs.embed import Vectors, WithEmbeddings, WithoutEmbeddings
from jobs.errors import Misconfigured, Rejected, Transient
from jobs.model import Analysis, Image
from tests.conftest import Run
from tests.fakes.classifier import LIMITS, FakeClassifier, answer

PICTURE = Image("a.jpg", b"picture")
FAILS = Transient("embed", "a.jpg", "busy")


@dataclass(slots=True)
class FakeEmbedder:
    """Answers from the bytes, after the failures that it is given; counts what it was paid for."""

    price: float = 0.1
    asked: str = "vectors:1"
    limits: Any = LIMITS
    faults: list[Exception] = field(default_factory=list)
    slow: bool = False
    paid: Counter[bytes] = field(default_factory=Counter)

    async def embed(self, image: Image) -> bytes:
        if self.faults:
            raise self.faults.pop(0)
        if self.slow:
            await asyncio.Event().wait()
        self.paid[image.data] += 1
        return b"vector of " + image.data


class Flaky(FakeClassifier):
    """A classifier that meets some faults first, before it is paid."""

    def __init__(self, *faults: Exception, price: float = 1.0) -> None:
        super().__init__(price=price)
        self.faults = list(faults)

    async def classify(self, image: Image) -> Analysis:
        if self.faults:
            raise self.faults.pop(0)
        return await super().classify(image)


def paid(one: FakeClassifier | FakeEmbedder) -> int:
    return sum(one.paid.values())


def test_both_answers_come_as_one_and_both_are_asked_and_paid(run: Run) -> None:
    both = WithEmbeddings(FakeClassifier(), FakeEmbedder())
    found = run(both.classify(PICTURE))
    assert found.embedding == b"vector of picture"
    assert found.tags == answer(b"picture").tags
    assert (both.asked, both.price) == ("fake:1|vectors:1", 1.1)


@pytest.mark.parametrize("classifier_price", [1.0, 0.01])
@pytest.mark.parametrize("fails", ["classifier", "embedder"])
def test_what_was_paid_is_not_paid_again_when_the_other_fails(run: Run, classifier_price: float, fails: str) -> None:
    classifier = Flaky(*([FAILS] * 3 if fails == "classifier" else []), price=classifier_price)
    embedder = FakeEmbedder(faults=[FAILS] * 3 if fails == "embedder" else [])
    both = WithEmbeddings(classifier, embedder)
    for _ in range(3):
        with pytest.raises(Transient):
            run(both.classify(PICTURE))
    assert run(both.classify(Image("same.jpg", b"picture"))).embedding == b"vector of picture"
    assert (paid(classifier), paid(embedder)) == (1, 1)


def test_the_cheaper_one_is_asked_first(run: Run) -> None:
    classifier, embedder = Flaky(FAILS), FakeEmbedder(faults=[FAILS])
    with pytest.raises(Transient):
        run(WithEmbeddings(classifier, embedder).classify(PICTURE))
    assert len(classifier.faults) == 1
    dear = FakeEmbedder(price=5.0, faults=[FAILS])
    cheap = Flaky(FAILS)
    with pytest.raises(Transient):
        run(WithEmbeddings(cheap, dear).classify(PICTURE))
    assert len(dear.faults) == 1


def test_what_was_paid_outlives_a_call_whose_time_is_up(run: Run) -> None:
    classifier, embedder = FakeClassifier(price=0.01), FakeEmbedder(slow=True)
    both = WithEmbeddings(classifier, embedder)

    async def hurried() -> None:
        async with asyncio.timeout(0.01):
            await both.classify(PICTURE)

    with pytest.raises(TimeoutError):
        run(hurried())
    embedder.slow = False
    assert run(both.classify(PICTURE)).embedding == b"vector of picture"
    assert (paid(classifier), paid(embedder)) == (1, 1)


def test_an_image_that_only_the_embedder_refuses_is_classified(run: Run) -> None:
    refusal = Rejected("embed", "a.jpg", "too small", failure_class="too-small")
    for price in (0.1, 5.0):
        found = run(WithEmbeddings(FakeClassifier(), FakeEmbedder(price=price, faults=[refusal])).classify(PICTURE))
        assert found.embedding is None
        assert found.tags


def test_an_image_that_the_classifier_refuses_is_refused(run: Run) -> None:
    for price in (0.1, 5.0):
        embedder = FakeEmbedder(price=price)
        both = WithEmbeddings(FakeClassifier(), embedder)
        with pytest.raises(Rejected):
            run(both.classify(Image("bad.jpg", b"bad")))
        assert paid(embedder) == (price < 1)


def test_a_fault_of_the_settings_passes_through(run: Run) -> None:
    with pytest.raises(Misconfigured):
        run(WithEmbeddings(Flaky(Misconfigured("classify", "", "wrong key")), FakeEmbedder()).classify(PICTURE))


def test_halves_that_are_kept_are_bounded_and_the_oldest_goes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "KEPT", 2)
    classifier, embedder = Flaky(FAILS, FAILS, FAILS), FakeEmbedder()
    both = WithEmbeddings(classifier, embedder)
    pictures = [Image(f"{number}.jpg", bytes([number])) for number in range(3)]
    for picture in pictures:
        with pytest.raises(Transient):
            run(both.classify(picture))
    for picture in reversed(pictures):
        run(both.classify(picture))
    assert [embedder.paid[picture.data] for picture in pictures] == [2, 1, 1]


def test_many_at_once_get_each_their_own_halves(run: Run) -> None:
    both = WithEmbeddings(Flaky(*[FAILS] * 5), FakeEmbedder())
    pictures = [Image(f"{number}.jpg", bytes([number])) for number in range(10)]

    async def all_of_them() -> list[Analysis | BaseException]:
        return await asyncio.gather(*(both.classify(picture) for picture in pictures), return_exceptions=True)

    run(all_of_them())
    for picture, found in zip(pictures, run(all_of_them()), strict=True):
        assert isinstance(found, Analysis)
        assert (found.embedding, found.tags) == (b"vector of " + picture.data, answer(picture.data).tags)


def test_vectors_may_be_left_out_and_taken_alone(run: Run) -> None:
    without = WithoutEmbeddings(FakeClassifier())
    assert run(without.classify(PICTURE)).embedding is None
    assert without.asked == "fake:1|none"
    assert run(Vectors(FakeClassifier()).embed(PICTURE)) == answer(b"picture").embedding
    with pytest.raises(Rejected):
        run(Vectors(without).embed(PICTURE))
