"""A free classifier first: the paid one is asked only where it must be, and what that saves is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from jobs import wiring
from jobs.cascade import Cascade, Doubt
from jobs.embed import WithEmbeddings, WithoutEmbeddings
from jobs.errors import Misconfigured, Rejected
from jobs.model import Account, Analysis, Image, Lease, Outcome, Tag
from jobs.plan import Plan, plan
from jobs.settings import Settings
from jobs.sweep import sweep
from jobs.wiring import embedders
from tests.conftest import Run
from tests.fakes.classifier import FakeClassifier, answer
from tests.unit.shop_kit import TERMS, Shop, opened
from tests.unit.test_embed import FakeEmbedder

DOUBT = Doubt(0.8, frozenset({"crack"}))


class Local(FakeClassifier):
    """A free classifier: its tag is the bytes' first word, its confidence the second one, in hundredths; `odd` it refuses."""

    def __init__(self) -> None:
        super().__init__(asked="local:1", price=0.0)

    async def classify(self, image: Image) -> Analysis:
        self.paid["looked"] += 1
        label, sure, *_ = (*image.data.decode().split(), "50")
        if label == "odd":
            raise Rejected("decode", image.name, "no format of ours", failure_class="format")
        return replace(answer(image.data, "local-7"), tags=(Tag(label, int(sure) / 100),))


def joined(**changes: Any) -> tuple[Local, FakeClassifier, Cascade]:
    local, paid = Local(), FakeClassifier(asked="paid:1", price=0.0025)
    return local, paid, Cascade(local, paid, replace(DOUBT, **changes))


def sold(one: FakeClassifier) -> int:
    return sum(one.paid.values())


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


@pytest.mark.parametrize(
    ("data", "answered", "calls"),
    [("cat 80", "local-7", 0), ("cat 79", "fake-1", 1), ("crack 99", "fake-1", 1), ("Crack 99", "fake-1", 1), ("odd", "fake-1", 1)],
)
def test_the_second_one_is_asked_where_the_first_is_unsure_or_names_what_is_worth_it(
    run: Run, data: str, answered: str, calls: int
) -> None:
    _, paid, both = joined()
    found = run(both.classify(Image("a.jpg", data.encode())))
    assert (found.answered, sold(paid)) == (answered, calls)


def test_vectors_are_the_first_ones_whoever_answers(run: Run) -> None:
    _, _, both = joined()
    for data in (b"cat 99", b"cat 10"):
        assert run(both.classify(Image("a.jpg", data))).embedding == answer(data).embedding
    assert run(both.classify(Image("a.jpg", b"odd"))).embedding is None, "one of another kind cannot be compared"


def test_what_is_asked_names_both_and_the_rule() -> None:
    same = {joined()[2].asked for _ in range(2)}
    others = {joined(confidence=0.7)[2].asked, joined(labels=frozenset())[2].asked, "local:1", "paid:1"}
    assert same == {"cascade:local:1>0.8+crack>paid:1"}
    assert len(same | others) == 5


def test_what_both_refuse_is_refused_by_the_second(run: Run) -> None:
    _, paid, both = joined()
    paid.limits = both.limits
    with pytest.raises(Rejected, match="not those of an image"):
        run(both.classify(Image("a.jpg", b"bad 10")))


def test_an_embedder_and_none_go_with_a_cascade(run: Run) -> None:
    _, paid, both = joined()
    assert run(WithoutEmbeddings(both).classify(Image("a.jpg", b"cat 99"))).embedding is None
    joint = WithEmbeddings(both, FakeEmbedder())
    assert run(joint.classify(Image("a.jpg", b"cat 99"))).embedding == b"vector of cat 99"
    assert sold(paid) == 0


@pytest.mark.parametrize("embeds", [True, False])
def test_a_saved_call_is_told_through_what_goes_with_it(shop: Shop, *, embeds: bool) -> None:
    shop.source.put("a.jpg", b"cat 99")
    both = joined()[2]
    joint = WithEmbeddings(both, FakeEmbedder()) if embeds else WithoutEmbeddings(both)
    report = shop.run(sweep(ports=shop.ports(till=joint), terms=TERMS))  # type: ignore[arg-type]
    assert (report.saved, report.calls, report.cost) == ((1, 1, 0.1) if embeds else (1, 0, 0.0))


def _filled(shop: Shop) -> None:
    for number in range(10):
        shop.source.put(f"sure {number}.jpg", f"cat 9{number} {number}".encode())
        shop.source.put(f"unsure {number}.jpg", f"cat 1{number} {number}".encode())


def test_saved_calls_are_reported_and_only_paid_ones_are_claimed_and_counted(shop: Shop) -> None:
    _filled(shop)
    shop.source.put("again.jpg", b"cat 11 1")
    local, paid, both = joined()
    claimed: Counter[str] = Counter()
    put = shop.store.put

    async def watched(key: str, document: Any, version: str | None) -> str:
        claimed["content"] += isinstance(document, Lease) and key.startswith("hash|")
        return await put(key, document, version)

    shop.store.put = watched  # type: ignore[method-assign]
    report = shop.run(sweep(ports=shop.ports(till=both), terms=TERMS))  # type: ignore[arg-type]  # it is no fake
    assert (report.classified, report.reused, report.saved) == (20, 1, 10)
    assert report.calls == sold(paid) == claimed["content"] == 10
    assert report.cost == 0.025
    assert sum(local.paid.values()) == 20
    accounts = [one.calls for one, _ in shop.store.documents.values() if isinstance(one, Account)]
    assert accounts == [10, 10]
    assert {shop.record(f"sure {n}.jpg").analysis.answered for n in range(10)} == {"local-7"}  # type: ignore[union-attr]


def test_what_is_sure_is_classified_though_no_money_is_left(shop: Shop) -> None:
    shop.source.put("a sure.jpg", b"cat 99")
    shop.source.put("unsure.jpg", b"cat 10")
    _, paid, both = joined()
    report = shop.run(sweep(ports=shop.ports(till=both), terms=replace(TERMS, max_calls=0, concurrency=1)))  # type: ignore[arg-type]
    assert (report.status, report.saved, sold(paid)) == ("stopped", 1, 0)
    assert shop.record("a sure.jpg").outcome is Outcome.CLASSIFIED


def test_another_rule_is_another_question(shop: Shop) -> None:
    _filled(shop)
    shop.run(sweep(ports=shop.ports(till=joined()[2]), terms=TERMS))  # type: ignore[arg-type]
    _, paid, stricter = joined(confidence=0.95)
    report = shop.run(sweep(ports=shop.ports(till=stricter), terms=TERMS))  # type: ignore[arg-type]
    assert (report.saved, sold(paid)) == (5, 15)


def test_a_plan_says_what_the_first_one_will_answer(shop: Shop, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.ahead._inspect", lambda *_: None)
    _filled(shop)
    _, paid, both = joined()
    store = shop.store
    ports = {"source": shop.source, "ledger": store, "state": store, "clock": store, "terms": TERMS}
    found: Plan = run(plan(classifier=both, **ports))  # type: ignore[arg-type]  # on a real loop, since it reads in threads
    assert (found.new, found.local, found.calls, found.cost) == (10, 10, 10, 0.025)
    assert sold(paid) == 0


# From the settings


def settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, **changes)


def test_a_cascade_of_the_settings_is_opened_and_its_vectors_are_the_first_ones(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def paid(*_: object) -> AsyncIterator[FakeClassifier]:
        yield FakeClassifier(asked="paid:1", price=0.0025)

    @asynccontextmanager
    async def free(*_: object) -> AsyncIterator[FakeClassifier]:
        yield Local()

    monkeypatch.setitem(wiring.CLASSIFIERS, "paid", paid)
    monkeypatch.setitem(wiring.CLASSIFIERS, "onnx", free)

    async def asked(**changes: Any) -> str:
        async with wiring.classifier(settings(classifier="paid:x", **changes)) as opened:
            return opened.asked

    named = {"cascade": "onnx:x", "cascade_confidence": 0.7, "cascade_labels": "Crack, dent"}
    assert run(asked(**named)) == "cascade:local:1>0.7+crack,dent>paid:1"
    assert run(asked(**named, embedder="none")).endswith("|none")
    with pytest.raises(Misconfigured, match=r"IMAGESWEEP_CASCADE: paid:y costs 0\.0025 a call"):
        run(asked(cascade="paid:y"))
    with pytest.raises(Misconfigured, match="IMAGESWEEP_CASCADE"):
        run(asked(cascade="nothing"))
    assert embedders.length(settings(classifier="azure-vision:x", cascade="onnx:x")) == 1280
    assert embedders.length(settings(classifier="azure-vision:x", cascade="onnx:x", embedder="none")) == 0
