from __future__ import annotations

from datetime import timedelta

import pytest

from jobs.errors import Misconfigured
from jobs.settings import load, several


@pytest.mark.parametrize(("text", "span"), [("900", 900), ("0", 0), ("1.5", 1.5), ("PT15M", 900), ("P1D", 86_400)])
def test_a_span_is_given_in_seconds_or_as_iso_8601(monkeypatch: pytest.MonkeyPatch, text: str, span: float) -> None:
    monkeypatch.setenv("IMAGESWEEP_LOOKBACK", text)
    monkeypatch.setenv("IMAGESWEEP_RETENTION", text)
    assert (load().lookback, load().retention) == (timedelta(seconds=span), timedelta(seconds=span))


@pytest.mark.parametrize("text", ["soon", "-", "1.2.3"])
def test_another_span_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("IMAGESWEEP_LOOKBACK", text)
    with pytest.raises(Misconfigured, match="IMAGESWEEP_LOOKBACK"):
        load()


def test_lists_are_split_at_commas() -> None:
    assert several(" a, b,,c ") == ("a", "b", "c")
