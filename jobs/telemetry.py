"""Telemetry: a span for each slice, page and call, and the figures of each run. Silent until somebody listens.

Goes by the API of OpenTelemetry alone; who exports it, and where to, is set up outside (`jobs.adapters.azure_monitor`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from jobs.model import Report

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

SCOPE = "imagesweep"
OUTCOMES = ("classified", "reused", "unchanged", "skipped", "deferred", "dead", "gone")
COUNTED = {
    "calls": ("{call}", "Calls of the classifier."),
    "unknown_calls": ("{call}", "Calls without an answer, which may have been billed."),
    "throttled": ("{call}", "Calls that were refused for coming too fast."),
    "published": ("{document}", "Documents that the index took."),
    "unpublished": ("{document}", "Documents that the index refused for good."),
    "ru": ("RU", "Request units that the store was charged."),
    "cost": ("{price}", "Cost of the calls, in the currency of the prices."),
}


class Telemetry(Protocol):
    """What listens."""

    def span(self, name: str, about: dict[str, str | int]) -> AbstractContextManager[object]:
        """Return a context whose time is told, and what went wrong in it."""
        ...

    def reported(self, report: Report, now: datetime) -> None:
        """Tell the figures of one run, at its end; `now` is the store's time."""
        ...


class Silent:
    """Nobody listens."""

    def span(self, name: str, about: dict[str, str | int]) -> AbstractContextManager[object]:
        """Return a context that tells nothing."""
        del name, about
        return nullcontext()

    def reported(self, report: Report, now: datetime) -> None:
        """Tell nothing."""


_listening: Telemetry = Silent()


def use(telemetry: Telemetry) -> None:
    """Let this one listen from now on."""
    global _listening  # noqa: PLW0603 telemetry is of the process, as the log is
    _listening = telemetry


def span(name: str, **about: str | int) -> AbstractContextManager[object]:
    """Return a context for one piece of work: `slice`, `page` or `call`, and what it is about."""
    return _listening.span(f"{SCOPE}.{name}", about)


def reported(report: Report, now: datetime) -> None:
    """Tell the figures of one run, at its end."""
    _listening.reported(report, now)


class OpenTelemetry:
    """Speaks the API of OpenTelemetry, to the providers given or to those of the process."""

    def __init__(self, tracers: TracerProvider | None = None, meters: MeterProvider | None = None) -> None:
        from opentelemetry import metrics, trace  # noqa: PLC0415 a third of a second that a run without listeners does not need

        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracers)
        meter = metrics.get_meter(SCOPE, meter_provider=meters)
        self._settled = meter.create_counter(f"{SCOPE}.settled", "{image}", "Images, by what became of them.")
        self._counters = {name: meter.create_counter(f"{SCOPE}.{name}", unit, said) for name, (unit, said) in COUNTED.items()}
        self._runs = meter.create_counter(f"{SCOPE}.runs", "{run}", "Runs, by job and by how they ended.")
        self._rate = meter.create_gauge(f"{SCOPE}.rate", "{image}/s", "Images classified or reused a second, in the last run.")
        self._lag = meter.create_gauge(f"{SCOPE}.lag", "s", "Age of the watermark: everything older is settled.")

    @contextmanager
    def span(self, name: str, about: dict[str, str | int]) -> Iterator[None]:
        """Make a span, which tells an error that passes through it."""
        with self._tracer.start_as_current_span(name, attributes={f"{SCOPE}.{key}": value for key, value in about.items()}):
            yield

    def reported(self, report: Report, now: datetime) -> None:
        """Add the counts of a run, and set its rate and the lag."""
        about = {"source": report.source, "job": report.job}
        for outcome in OUTCOMES:
            if number := getattr(report, outcome):
                self._settled.add(number, {**about, "outcome": outcome})
        for name, counter in self._counters.items():
            if number := getattr(report, name):
                counter.add(number, about)
        self._runs.add(1, {**about, "status": report.status})
        self._rate.set(report.images_per_second, about)
        if report.watermark is not None and report.job == "sweep":
            self._lag.set((now - report.watermark).total_seconds(), about)
