"""What surrounds the sweeps: audits, health, who may call, logs and figures."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jobs import telemetry
from jobs.app import guard, observe
from jobs.errors import Misconfigured, Transient
from jobs.model import Analysis, Image, Report
from tests.functions.conftest import Yard
from tests.functions.host import Failed
from tests.functions.test_sweeps import get, nightly, post


def weekly(yard: Yard) -> None:
    yard.run(yard.host.timer("weekly_audit"))


def test_the_weekly_audit_takes_away_what_is_gone_and_classifies_what_was_missed(yard: Yard) -> None:
    yard.fill(4)
    nightly(yard)
    (yard.home / "photos/000.jpg").unlink()
    (yard.home / "photos/new.jpg").write_bytes(b"arrived unseen")
    weekly(yard)
    assert yard.found() == 4
    assert yard.till.calls == 5


def test_the_weekly_audit_groups_near_duplicates(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    classify = yard.till.classify

    async def drawing(image: Image) -> Analysis:
        found = await classify(image)
        return replace(found, facts=replace(found.facts, sketch="5a" * 32))

    monkeypatch.setattr(yard.till, "classify", drawing)
    yard.fill(3)
    nightly(yard)
    with caplog.at_level(logging.INFO, "imagesweep"):
        weekly(yard)
    (told,) = [vars(line) for line in caplog.records if line.getMessage().startswith("group.end")]
    assert (told["images"], told["groups"], told["copies"], told["changed"], told["left"]) == (3, 1, 2, 3, 0)


def test_an_audit_that_deletes_nothing_for_fear_of_too_much_fails_where_it_can_be_seen(yard: Yard) -> None:
    yard.fill(15)
    nightly(yard)
    for path in (yard.home / "photos").iterdir():
        path.unlink()
    with pytest.raises(Failed, match="brake"):
        weekly(yard)
    assert yard.found() == 15


def test_an_audit_that_its_time_does_not_suffice_for_says_what_would(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.fill(8)
    monkeypatch.setenv("IMAGESWEEP_SLICE_SECONDS", "0.001")
    yard.till.seconds = 0.5
    with pytest.raises(Failed, match="imagesweep audit --repair"):
        weekly(yard)


def test_an_audit_retires_what_is_too_old(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.fill(2)
    nightly(yard)
    monkeypatch.setenv("IMAGESWEEP_RETENTION", "0")
    yard.run(_close())
    weekly(yard)
    assert yard.found() == 0


async def _close() -> None:
    from jobs.app import desk  # noqa: PLC0415 the module's own memory is emptied

    await desk.desk().close()
    desk._desks.clear()


@pytest.mark.parametrize("payload", ["", "{", '"text"', "[]", "null"])
def test_a_malformed_timer_fails_before_anything_is_done(yard: Yard, payload: str) -> None:
    yard.fill(1)
    with pytest.raises(Failed):
        yard.run(yard.host.timer("nightly_sweep", payload=payload))
    assert yard.till.calls == 0
    assert get(yard, "all-1").status == 404


def test_a_timer_that_is_late_sweeps_once(yard: Yard) -> None:
    yard.fill(1)
    yard.run(yard.host.timer("nightly_sweep", past_due=True))
    assert yard.till.calls == 1


def test_health_asks_every_part(yard: Yard) -> None:
    answer = yard.run(yard.host.http("health", "GET", "https://app.example/api/health"))
    assert answer.status == 200
    assert answer.json == {
        "status": "ok",
        "parts": {"source": "ok", "store": "ok", "index": "ok", "classifier": "ok"},
    }


@pytest.mark.parametrize(
    ("error", "said"), [(Misconfigured("read", "x", "secret"), "misconfigured"), (Transient("read", "x", "secret"), "unreachable")]
)
def test_health_names_the_part_that_fails_and_tells_strangers_no_more(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    async def broken(_: object) -> None:
        raise error

    monkeypatch.setattr("jobs.app.answers._look_at_store", broken)
    answer = yard.run(yard.host.http("health", "GET", "https://app.example/api/health"))
    assert answer.status == 503
    assert answer.json["parts"]["store"] == said
    assert "secret" not in answer.body.decode()


def test_a_store_that_is_away_is_answered_with_when_to_come_again(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_: object) -> None:
        raise Transient("open", "the store", "it is away")

    monkeypatch.setattr("jobs.app.desk.Desk.store", away)
    answer = post(yard)
    assert (answer.status, answer.headers["content-type"].split(";")[0]) == (503, "application/problem+json")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_wrong_setting_is_a_problem_in_words(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESWEEP_STORE", "tape:1")
    answer = post(yard)
    assert answer.status == 500
    assert "IMAGESWEEP_STORE" in answer.json["detail"]


def test_a_bug_is_a_problem_without_its_secrets(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    async def bug(_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("jobs.app.desk.Desk.store", bug)
    answer = get(yard, "all-1")
    assert answer.status == 500
    assert "secret" not in answer.body.decode()


def test_with_entra_a_caller_must_have_been_let_in(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    def status(**headers: str) -> int:
        return yard.run(
            yard.host.http("get_sweep", "GET", "https://app.example/api/sweeps/all-1", params={"id": "all-1"}, **headers)
        ).status

    assert guard.level() == "FUNCTION"
    monkeypatch.setenv("IMAGESWEEP_HTTP_AUTH", "entra")
    assert guard.level() == "ANONYMOUS"
    assert status(X_MS_CLIENT_PRINCIPAL_ID="me") == 503, "nobody stands guard, so the header may be anybody's"
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "True")
    assert status() == 401
    assert status(X_MS_CLIENT_PRINCIPAL_ID="me") == 404


def test_a_logged_event_says_in_its_text_what_it_is_about(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("imagesweep.test")
    logger.addFilter(observe.Lines())
    with caplog.at_level(logging.INFO, "imagesweep.test"):
        logger.info("sweep.page", extra={"page": 7, "when": datetime(2026, 1, 1, tzinfo=UTC), "odd": object})
        logger.info("plain %s", "text")
    first, second = caplog.messages
    assert first.startswith('sweep.page {"page": 7, "when": "2026-01-01T00:00:00Z"')
    assert second == "plain text"


@pytest.fixture
def told() -> Iterator[tuple[InMemorySpanExporter, InMemoryMetricReader]]:
    """Telemetry into memory."""
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    telemetry.use(telemetry.OpenTelemetry(tracers, meters))
    yield spans, reader
    telemetry.use(telemetry.Silent())
    tracers.shutdown()
    meters.shutdown()


def figures(reader: InMemoryMetricReader) -> dict[tuple[str, str], float]:
    """Return the figures by name and what they are told apart by, beside the source."""
    data = reader.get_metrics_data()
    assert data is not None
    found = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.data.data_points:
            about = {key: value for key, value in (point.attributes or {}).items() if key not in ("source", "job")}
            found[metric.name, ",".join(map(str, about.values()))] = point.value  # type: ignore[union-attr]  # sums and gauges alone
    return found


def test_a_sweep_tells_spans_and_figures(yard: Yard, told: tuple[InMemorySpanExporter, InMemoryMetricReader]) -> None:
    yard.fill(3)
    (yard.home / "photos/bad.jpg").write_bytes(b"bad")
    nightly(yard)
    spans, reader = told
    finished = spans.get_finished_spans()
    names = [span.name for span in finished]
    assert names.count("imagesweep.slice") == 1
    assert names.count("imagesweep.page") == 2
    assert names.count("imagesweep.call") == 4
    by_id = {span.context.span_id: span for span in finished}
    calls = [span for span in finished if span.name == "imagesweep.call"]
    assert {by_id[span.parent.span_id].name for span in calls if span.parent} == {"imagesweep.page"}
    assert sum(span.status.status_code.name == "ERROR" for span in calls) == 1
    shown = figures(reader)
    assert shown["imagesweep.settled", "classified"] == 3
    assert shown["imagesweep.settled", "dead"] == 1
    assert shown["imagesweep.calls", ""] == 4
    assert shown["imagesweep.cost", ""] == 4
    assert shown["imagesweep.runs", "complete"] == 1
    assert 0 <= shown["imagesweep.lag", ""] < 60
    assert shown["imagesweep.rate", ""] > 0


def test_lag_is_the_age_of_the_watermark(told: tuple[InMemorySpanExporter, InMemoryMetricReader]) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    telemetry.reported(Report("r", "sweep", "s", "stopped", now, throttled=3, ru=7.5, watermark=now - timedelta(hours=3)), now)
    shown = figures(told[1])
    assert shown["imagesweep.lag", ""] == 3 * 3600
    assert (shown["imagesweep.throttled", ""], shown["imagesweep.ru", ""]) == (3, 7.5)
