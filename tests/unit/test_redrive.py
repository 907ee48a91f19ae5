from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from jobs.errors import Transient
from jobs.model import Analysis, Claim, Failure, Image, Outcome, Report
from jobs.redrive import REDRIVEN, redrive
from jobs.work import STEADY, Control, Ports
from tests.simulation.loop import EPOCH
from tests.unit.shop_kit import TERMS, Shop, Till, adds_up, opened


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr("tests.fakes.store.BATCH", 2)
    with opened() as shop:
        yield shop


class Down(Till):
    """A service that is away."""

    async def classify(self, image: Image) -> Analysis:
        self.paid["tries"] += 1
        raise Transient("classify", image.name, "it is down")


def _bad(shop: Shop, number: int) -> None:
    for n in range(number):
        shop.source.put(f"bad{n:02}.jpg", b"bad %d" % n, modified=EPOCH)


def _redrive(
    shop: Shop, failure_class: str = "not-an-image", *, ports: Ports | None = None, prefix: str = "", control: Control = STEADY
) -> Report:
    ports = ports or shop.ports(till=Till(mended=True))
    return shop.run(redrive(ports=ports, terms=TERMS, failure_class=failure_class, prefix=prefix, control=control))


def test_dead_letters_of_the_class_get_another_chance_and_nothing_else_does(shop: Shop) -> None:
    _bad(shop, 5)
    shop.fill(3)
    shop.source.put("empty.jpg", b"", modified=EPOCH)
    shop.sweep()
    others = {name: shop.record(name) for name in ("empty.jpg", "00.jpg", "01.jpg", "02.jpg")}
    mended = Till(mended=True)
    report = _redrive(shop, ports=shop.ports(till=mended))
    assert (report.job, report.status, report.listed, report.classified, report.retried) == ("redrive", "complete", 5, 5, 5)
    assert adds_up(report)
    assert mended.calls == 5
    assert {name: shop.record(name) for name in others} == others
    assert shop.found() == {"00.jpg", "01.jpg", "02.jpg", *(f"bad{n:02}.jpg" for n in range(5))}


def test_what_fails_again_is_dead_again_and_tried_once(shop: Shop) -> None:
    _bad(shop, 5)
    shop.sweep()
    again = Till()
    report = _redrive(shop, ports=shop.ports(till=again))
    assert (report.status, report.dead, again.calls) == ("complete", 5, 5)
    assert shop.record("bad00.jpg").failure == Failure("not-an-image", "the bytes are not those of an image", 1)


def test_a_prefix_narrows_it(shop: Shop) -> None:
    _bad(shop, 12)
    shop.sweep()
    assert _redrive(shop, prefix="bad1").classified == 2


def test_deferred_blobs_come_before_their_time_and_their_attempts_are_forgiven(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    shop.change(
        "00.jpg",
        outcome=Outcome.DEFERRED,
        failure=Failure("timeout", "slow", 2, EPOCH + timedelta(days=9)),
        analysis=None,
        content_hash=None,
    )
    report = _redrive(shop, "timeout", ports=shop.ports(till=Down()))
    assert (report.deferred, report.retried) == (1, 1)
    failure = shop.record("00.jpg").failure
    assert failure is not None
    assert (failure.failure_class, failure.attempts) == ("transient", 0), "a service that is away proves nothing against it"


def test_it_is_the_version_that_is_there_now_that_is_settled(shop: Shop) -> None:
    _bad(shop, 2)
    shop.sweep()
    now = shop.source.put("bad00.jpg", b"a photo", modified=EPOCH)
    shop.source.delete("bad01.jpg")
    report = _redrive(shop, ports=shop.ports())
    assert (report.classified, report.gone) == (1, 1)
    assert shop.record("bad00.jpg").etag == now.etag


def test_an_unknown_class_is_answered_with_the_classes_that_there_are(shop: Shop) -> None:
    _bad(shop, 1)
    shop.source.put("empty.jpg", b"", modified=EPOCH)
    shop.sweep()
    report = _redrive(shop, "truncatd")
    assert (report.status, report.listed) == ("complete", 0)
    assert report.message == "Nothing is dead or deferred with class 'truncatd'. There are: empty, not-an-image."


def test_where_nothing_failed_it_says_so(shop: Shop) -> None:
    assert _redrive(shop).message == "Nothing is dead or deferred."


@pytest.mark.parametrize(("seconds", "calls"), [(60, 0), (0, 1), (-60, 1)])
def test_what_a_live_run_has_claimed_is_left_to_it(shop: Shop, seconds: int, calls: int) -> None:
    _bad(shop, 1)
    shop.sweep()
    expires = shop.loop.now() + timedelta(seconds=seconds)
    claim = Claim("another", shop.record("bad00.jpg").etag, "fake:1", expires)
    shop.change("bad00.jpg", outcome=Outcome.DEFERRED, claim=claim, failure=Failure("claimed", "being classified", 0, expires))
    claimed = shop.record("bad00.jpg")
    shop.source.put("bad00.jpg", b"newer", modified=EPOCH)
    till = Till()
    report = _redrive(shop, "claimed", ports=shop.ports(till=till))
    assert till.calls == calls
    if not calls:
        assert (report.listed, report.deferred) == (1, 1)
        assert shop.record("bad00.jpg") == claimed


def test_a_claim_that_expired_is_nobodys_any_more(shop: Shop) -> None:
    _bad(shop, 1)
    shop.sweep()
    claim = Claim("a zombie", shop.record("bad00.jpg").etag, "fake:1", shop.loop.now())
    shop.change(
        "bad00.jpg", outcome=Outcome.DEFERRED, claim=claim, failure=Failure("claimed", "being classified", 0, claim.expires)
    )
    _redrive(shop, "claimed", control=Control(stopped=lambda: True))
    left = shop.record("bad00.jpg")
    assert left.claim is None, "what the zombie writes would count"
    assert left.failure == Failure(REDRIVEN, "was deferred as claimed: being classified", 0, shop.loop.now())


def test_what_a_stopped_redrive_marked_is_taken_by_the_next_sweep(shop: Shop) -> None:
    _bad(shop, 12)
    shop.sweep()
    mended = Till(mended=True)
    first = _redrive(shop, ports=shop.ports(till=mended), control=Control(seconds=1.5))
    assert first.status == "stopped"
    assert adds_up(first)
    due = [name for name, outcome in shop.outcomes().items() if outcome is Outcome.DEFERRED]
    assert due
    assert 0 < first.classified < 12
    shop.later(1)
    swept = shop.sweep(till=mended)
    assert swept.retried == len(due)
    assert mended.calls == first.classified + len(due)
    assert Outcome.DEFERRED not in shop.outcomes().values()


def test_a_stopped_redrive_goes_on_and_pays_no_failure_twice(shop: Shop) -> None:
    _bad(shop, 12)
    shop.sweep()
    again = Till()
    first = _redrive(shop, ports=shop.ports(till=again), control=Control(seconds=1.5))
    assert first.status == "stopped"
    shop.later(1)
    second = _redrive(shop, ports=shop.ports(till=again))
    assert second.status == "complete"
    assert set(again.paid.values()) == {1}
    left = _redrive(shop, "interrupted", ports=shop.ports(till=again))
    assert first.dead + second.dead + left.dead == 12
    assert set(again.paid.values()) == {1}
    assert set(shop.outcomes().values()) == {Outcome.DEAD}
