from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs import wiring
from jobs.app.desk import desk
from jobs.app.follow import MOST_IDLE, Slice, follow
from jobs.errors import Misconfigured, Transient
from jobs.model import Leg, Outcome, Report, Round
from jobs.run import Terms
from jobs.settings import load
from jobs.sweep import sweep
from jobs.throttle import Throttle
from jobs.work import Control
from tests.conftest import entered
from tests.functions.conftest import Yard
from tests.functions.host import Failed, Http

BASE = "https://app.example/api/sweeps"


def post(yard: Yard, body: object = None, *, raw: bytes | None = None, url: str = BASE) -> Http:
    data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
    return yard.run(yard.host.http("post_sweep", "POST", url, body=data, content_type="application/json"))


def get(yard: Yard, round_id: str) -> Http:
    return yard.run(yard.host.http("get_sweep", "GET", f"{BASE}/{round_id}", params={"id": round_id}))


def nightly(yard: Yard) -> None:
    yard.run(yard.host.timer("nightly_sweep"))


def test_the_timer_sweeps_what_fits_into_one_slice_and_asks_for_no_other(yard: Yard) -> None:
    yard.fill(3)
    nightly(yard)
    assert (yard.till.calls, yard.found(), len(yard.queue)) == (3, 3, 0)
    assert get(yard, "all-1").json["status"] == "complete"


def test_a_sweep_goes_on_slice_by_slice_by_one_message_until_it_is_done(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESWEEP_SLICE_SECONDS", "0.3")
    yard.fill(12)
    yard.till.seconds = 0.05
    nightly(yard)
    assert 0 < yard.till.calls < 12
    assert len(yard.queue) == 1
    assert get(yard, "all-1").status == 202
    assert yard.deliver() == []
    answer = get(yard, "all-1")
    assert (answer.status, answer.json["status"], answer.json["classified"]) == (200, "complete", 12)
    assert answer.json["slices"] == len(yard.queue.put_so_far) + 1, "one message for each slice but the last"
    assert set(yard.till.paid.values()) == {1}
    assert yard.found() == 12


def test_a_message_that_is_delivered_twice_makes_no_second_chain(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESWEEP_SLICE_SECONDS", "0.2")
    yard.fill(12)
    yard.till.seconds = 0.05
    nightly(yard)
    [(message, _)] = yard.queue.put_so_far
    assert yard.queue.take() == (message, 1)
    yard.run(yard.host.message("continue_sweep", message))
    paid, asked = yard.till.calls, list(yard.queue.put_so_far)
    assert (len(asked), len(yard.queue)) == (2, 1)
    yard.run(yard.host.message("continue_sweep", message, dequeue_count=2))
    assert (yard.till.calls, yard.queue.put_so_far, len(yard.queue)) == (paid, asked, 1)
    assert yard.deliver() == []
    assert yard.till.calls == 12


@pytest.mark.parametrize("dies", ["jobs.app.turns.save", "tests.functions.queue.MemoryQueue.put"])
def test_a_call_that_dies_at_its_end_neither_loses_the_chain_nor_doubles_it(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    monkeypatch.setenv("IMAGESWEEP_SLICE_SECONDS", "0.2")
    yard.fill(12)
    yard.till.seconds = 0.05
    post(yard)
    taken = yard.queue.take()
    assert taken is not None

    async def die(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(dies, die)
        with pytest.raises(Failed):
            yard.run(yard.host.message("continue_sweep", taken[0]))
    yard.queue.again(taken[0], dequeued=1, delay=60)
    assert yard.deliver() == []
    answer = get(yard, "all-1").json
    assert (answer["status"], yard.found()) == ("complete", 12)
    assert set(yard.till.paid.values()) == {1}
    turns = [json.loads(message)["turn"] for message, delay in yard.queue.put_so_far if delay != 15]
    assert sorted(set(turns)) == list(range(answer["slices"]))
    assert len(turns) <= answer["slices"] + 1, "but for the message of the call that died, one for each slice"


def test_a_message_that_comes_before_its_round_has_moved_on_waits(yard: Yard) -> None:
    yard.fill(1)
    assert post(yard).status == 202
    yard.run(yard.host.message("continue_sweep", '{"round": "all-1", "turn": 1}'))
    assert yard.till.calls == 0
    assert yard.queue.put_so_far[-1] == ('{"round": "all-1", "turn": 1}', 15.0)
    assert yard.deliver() == []
    assert yard.till.calls == 1


def test_a_request_is_answered_at_once_and_its_sweep_can_be_watched(yard: Yard) -> None:
    yard.fill(2)
    asked = post(yard, {})
    assert asked.status == 202
    assert asked.headers["Location"] == f"{BASE}/all-1"
    assert int(asked.headers["Retry-After"]) > 0
    assert yard.till.calls == 0
    waiting = get(yard, "all-1")
    assert (waiting.status, waiting.json["status"], waiting.headers["Location"]) == (202, "queued", f"{BASE}/all-1")
    assert yard.deliver() == []
    done = get(yard, "all-1")
    assert (done.status, done.json["classified"], done.json["dead"]) == (200, 2, 0)
    assert done.json["sources"][0]["report"]["watermark"]


def test_who_asks_while_a_sweep_runs_joins_it(yard: Yard) -> None:
    yard.fill(2)
    first, second = post(yard), post(yard, {})
    assert first.headers["Location"] == second.headers["Location"]
    assert len(yard.queue) == 1
    nightly(yard)
    assert len(yard.queue) == 1, "and so does the timer"
    assert yard.deliver() == []
    assert post(yard).headers["Location"] == f"{BASE}/all-2"


def test_a_year_of_windows_costs_one_scan(yard: Yard) -> None:
    yard.fill(2)
    for month in range(1, 13):
        window = {"start": f"2025-{month:02}-01T00:00:00Z", "end": f"2025-{month:02}-02T00:00:00Z"}
        assert post(yard, {"window": window}).headers["Location"] == f"{BASE}/all-1"
    assert len(yard.queue) == 1
    assert yard.deliver() == []
    again = post(yard, {"window": {"start": "2025-01-01T00:00:00Z", "end": "2025-01-02T00:00:00Z"}})
    assert (again.status, again.json["status"]) == (200, "complete")
    assert "Location" not in again.headers
    assert len(yard.queue) == 0
    assert get(yard, "all-1").json["slices"] == 1


def test_a_window_that_ends_after_the_running_pass_began_gets_another_pass(yard: Yard) -> None:
    yard.fill(1)
    post(yard)
    yard.fill(2)
    now = yard.run(_now(yard))
    assert post(yard, {"window": {"end": now}}).headers["Location"] == f"{BASE}/all-1"
    assert yard.deliver() == []
    answer = get(yard, "all-1").json
    assert (answer["status"], answer["slices"], answer["listed"]) == ("complete", 2, 4)
    assert yard.till.calls == 2


async def _now(yard: Yard) -> str:
    return (await (await yard.store()).now()).isoformat()


def test_other_filters_make_a_settled_window_unsettled(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.fill(1)
    nightly(yard)
    past = {"window": {"end": "2025-01-02T00:00:00Z"}}
    assert post(yard, past).status == 200
    monkeypatch.setattr("jobs.app.desk.Desk.terms", _other_terms)
    assert post(yard, past).status == 202


def _other_terms(_: object, *, max_calls: int | None = None) -> object:
    return Terms(scope="another", max_calls=max_calls)


@pytest.mark.parametrize(
    ("raw", "status", "said"),
    [
        (b"{", 400, "no JSON"),
        (b"[" * 9000, 400, "no JSON"),
        (b"\xff", 400, "no JSON"),
        (b"[]", 422, "what to sweep"),
        (b'{"windows": {}}', 422, "windows"),
        (b'{"window": {"start": "2026-01-01T00:00:00Z"}}', 422, "window.end"),
        (b'{"window": {"end": "2026-01-01T00:00:00"}}', 422, "window.end"),
        (b'{"window": {"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}}', 422, "before it begins"),
        (b'{"window": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}}', 422, "before it begins"),
        (b'{"window": {"end": "2999-01-01T00:00:00Z"}}', 422, "2999"),
        (b'{"source": "folder:other"}', 422, "folder:other"),
        (b" " * 16_385, 413, "16,385"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words_and_begins_nothing(yard: Yard, raw: bytes, status: int, said: str) -> None:
    answer = post(yard, raw=raw)
    assert answer.status == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert said in f"{answer.json['title']} {answer.json['detail']}"
    assert answer.json["status"] == status
    assert len(yard.queue) == 0
    assert get(yard, "all-1").status == 404


@pytest.mark.parametrize("unknown", ["all-1", "all-0", "all-01", "../etc/passwd", "", "x" * 5000, "all-1|2", "deadbeef-1"])
def test_an_unknown_sweep_is_not_found(yard: Yard, unknown: str) -> None:
    answer = get(yard, unknown)
    assert answer.status == 404
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_one_of_several_sources_can_be_asked_for(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESWEEP_SOURCE", "folder:photos, folder:scans")
    yard.fill(1)
    yard.fill(2, folder="scans")
    asked = post(yard, {"source": "folder:scans"})
    assert yard.deliver() == []
    round_id = asked.headers["Location"].rpartition("/")[2]
    assert get(yard, round_id).json["classified"] == 2
    nightly(yard)
    both = get(yard, "all-1").json
    assert (both["classified"], both["unchanged"], len(both["sources"])) == (1, 2, 2)


def test_a_key_in_the_address_is_handed_on_so_that_it_can_be_polled(yard: Yard) -> None:
    answer = post(yard, url=f"{BASE}?code=secret%2B1&x=2")
    assert answer.headers["Location"] == f"{BASE}/all-1?code=secret%2B1"


def test_a_source_that_another_process_sweeps_is_asked_for_again_later(yard: Yard) -> None:
    yard.fill(2)
    key = yard.run(_key())
    with entered(yard.run, wiring.sole(load(), key)):
        nightly(yard)
        [(message, delay)] = yard.queue.put_so_far
        assert delay == 120
        for _ in range(50):
            taken = yard.queue.take()
            assert taken is not None
            yard.run(yard.host.message("continue_sweep", taken[0], dequeue_count=taken[1]))
            assert len(yard.queue) == 1, "never a second message, never poison"
        assert {put for put, _ in yard.queue.put_so_far} == {message}
    assert yard.deliver() == []
    assert get(yard, "all-1").json["classified"] == 2


async def _key() -> str:
    return (await desk().source("folder:photos")).key


def test_a_service_that_is_away_is_waited_for_and_in_the_end_given_up(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESWEEP_SLICE_SECONDS", "600")
    yard.fill(2)

    async def away(*_: object, **__: object) -> None:
        raise Transient("list", "photos", "the network is down")

    with monkeypatch.context() as patched:
        patched.setattr("jobs.app.turns.sweep", away)
        nightly(yard)
        failures = yard.deliver()
    assert len(failures) == 1, "a round that is over is not tried again"
    assert "network is down" in failures[0]
    answer = get(yard, "all-1")
    assert (answer.status, answer.json["status"]) == (200, "failed")
    assert "network is down" in answer.json["message"]
    delays = [delay for _, delay in yard.queue.put_so_far]
    assert len(delays) == MOST_IDLE
    assert delays[0] >= 60
    assert 4 * 3600 < sum(delays) < 12 * 3600


def test_a_broken_configuration_fails_the_call_once_and_is_told(yard: Yard) -> None:
    yard.fill(2)
    yard.till.error = Misconfigured("classify", "", "the key is wrong")
    with pytest.raises(Failed, match="the key is wrong"):
        nightly(yard)
    assert len(yard.queue) == 0
    answer = get(yard, "all-1")
    assert (answer.status, answer.json["status"]) == (200, "misconfigured")
    yard.till.error = None
    nightly(yard)
    assert get(yard, "all-2").json["classified"] == 2


def test_one_source_that_is_not_there_does_not_keep_the_others_from_being_swept(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGESWEEP_SOURCE", "folder:missing, folder:photos")
    yard.fill(2)
    with pytest.raises(Failed, match="missing"):
        nightly(yard)
    answer = get(yard, "all-1").json
    assert (answer["status"], answer["classified"]) == ("misconfigured", 2)


def test_a_bug_in_a_first_slice_fails_the_call_and_is_tried_again(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.fill(2)

    async def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("jobs.app.turns.sweep", bug)
        with pytest.raises(Failed):
            nightly(yard)
    assert len(yard.queue) == 1
    assert yard.deliver() == []
    assert get(yard, "all-1").json["classified"] == 2


def test_a_message_that_fails_too_often_ends_its_sweep_where_all_can_see_it(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.fill(2)
    post(yard)

    async def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("jobs.app.turns.sweep", bug)
        assert len(yard.deliver()) == 5
    answer = get(yard, "all-1")
    assert (answer.status, answer.json["status"]) == (200, "failed")
    assert "failed too often" in answer.json["message"]
    nightly(yard)
    assert get(yard, "all-2").json["classified"] == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"round": 1, "turn": 1}', '{"round": "all-1", "turn": -1}', '{"round": "all-1"}'])
def test_a_message_that_is_none_of_ours_goes_to_poison_and_changes_nothing(yard: Yard, text: str) -> None:
    post(yard)
    with pytest.raises(Failed, match="no message of a round"):
        yard.run(yard.host.message("continue_sweep", text))
    yard.run(yard.host.message("give_up_sweep", text))
    assert get(yard, "all-1").status == 202


def test_a_message_of_an_unknown_round_is_let_go(yard: Yard) -> None:
    yard.run(yard.host.message("continue_sweep", '{"round": "all-9", "turn": 0}'))
    assert len(yard.queue) == 0


def test_a_budget_ends_the_sweep_and_the_next_one_goes_on(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESWEEP_SWEEP_CALLS", "3")
    monkeypatch.setenv("IMAGESWEEP_SLICE_SECONDS", "0.2")
    yard.fill(5)
    yard.till.seconds = 0.05
    nightly(yard)
    assert yard.deliver() == []
    answer = get(yard, "all-1").json
    assert (answer["status"], answer["calls"]) == ("stopped", 3)
    assert "budget of 3 calls" in answer["message"]
    nightly(yard)
    yard.deliver()
    assert yard.till.calls == 5
    assert get(yard, "all-2").json["status"] == "complete"


@pytest.mark.parametrize(("hours", "status", "seconds"), [(3, "running", 3 * 3600), (13, "stopped", None), (-1, "running", 0)])
def test_a_round_rests_until_it_may_go_on_or_leaves_it_to_the_next(hours: int, status: str, seconds: float | None) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    report = Report("r", "sweep", "s", "stopped", now, message="The day's budget is spent.", goes_on=now + timedelta(hours=hours))
    before = Round("all-1", "running", now, now, now, (Leg("s", now),), turn=4, idle=MOST_IDLE)
    after, wait = follow(before, Slice((Leg("s", now, report=report),), full=False), now=now, budget=None)
    assert (after.status, after.turn, after.idle, wait) == (status, 5, 0, seconds)
    assert after.message == ("The day's budget is spent." if status == "stopped" else "")


def test_a_scan_left_over_from_another_sweep_does_not_stand_for_this_one(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESWEEP_SWEEP_CALLS", "4")
    yard.fill(6)
    nightly(yard)
    assert get(yard, "all-1").json["status"] == "stopped"
    (yard.home / "photos/000a.jpg").write_bytes(b"written behind the checkpoint")
    nightly(yard)
    assert yard.deliver() == []
    assert get(yard, "all-2").json["status"] == "complete"
    assert yard.till.calls == 7
    assert yard.found() == 7


def test_a_round_whose_message_was_lost_is_revived_by_whoever_looks(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.fill(1)
    post(yard)
    assert yard.queue.take() is not None
    assert get(yard, "all-1").status == 202
    assert len(yard.queue) == 0, "it may be under way"
    monkeypatch.setattr("jobs.app.schedule.silence", lambda _: -1.0)
    assert get(yard, "all-1").status == 202
    assert len(yard.queue) == 1
    monkeypatch.setattr("jobs.app.schedule.silence", lambda _: 3600.0)
    assert yard.deliver() == []
    assert get(yard, "all-1").status == 200


def test_what_an_event_left_behind_is_published_by_the_next_slice(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    async def finish(**_: object) -> None:
        called.append("finished")

    monkeypatch.setattr("jobs.app.turns.finish_events", finish)
    nightly(yard)
    assert called == ["finished"]


def test_each_slice_goes_on_at_the_pace_that_was_learned(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESWEEP_SLICE_SECONDS", "0.3")
    yard.fill(8)
    yard.till.seconds = 0.05
    shared: list[Throttle | None] = []

    async def watched(*, control: Control, **others: Any) -> Report:
        shared.append(control.throttle)
        return await sweep(control=control, **others)

    monkeypatch.setattr("jobs.app.turns.sweep", watched)
    nightly(yard)
    assert yard.deliver() == []
    assert len(shared) > 1
    assert shared[0] is not None
    assert all(one is shared[0] for one in shared)
    assert shared[0].peak > 0, "and the runs use it"


def test_the_store_names_every_outcome(yard: Yard) -> None:
    yard.fill(1)
    nightly(yard)

    async def outcomes() -> list[Outcome | None]:
        return [one.outcome async for batch in (await yard.store()).scan(await _key()) for one in batch]

    assert yard.run(outcomes()) == [Outcome.CLASSIFIED]
