"""What a call costs is the sum of what it asks for, by a table that may be one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.errors import Misconfigured
from jobs.prices import load


def test_a_call_costs_the_sum_of_its_features() -> None:
    prices = load()
    assert prices.of("azure-vision", ["tags"]) == pytest.approx(0.001)
    assert prices.of("azure-vision", ["tags", "caption"]) == pytest.approx(0.0025)
    assert prices.of("azure-vision", ["tags", "tags"]) == pytest.approx(0.001)
    assert prices.currency == "USD"


@pytest.mark.parametrize(("service", "features"), [("azure-vision", ["tags", "faces"]), ("nowhere", ["tags"])])
def test_what_has_no_price_is_refused_by_name(service: str, features: list[str]) -> None:
    with pytest.raises(Misconfigured, match=rf"no price for {features[-1]} under \[{service}\]"):
        load().of(service, features)


def test_a_table_of_ones_own_replaces_ours(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text('currency = "EUR"\n[azure-vision]\ntags = 0\n')
    prices = load(own)
    assert (prices.of("azure-vision", ["tags"]), prices.currency) == (0, "EUR")
    with pytest.raises(Misconfigured, match="caption"):
        prices.of("azure-vision", ["caption"])


@pytest.mark.parametrize(
    "text", ["[azure-vision]\ntags = -1", "[azure-vision]\ntags = nan", "[v]\ntags = 'one'", "[v]\ntags = true", "[", "\ud800"]
)
def test_a_broken_table_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    own = tmp_path / "prices.toml"
    own.write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(Misconfigured, match=r"prices\.toml"):
        load(own)


def test_a_missing_table_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"nowhere\.toml"):
        load(tmp_path / "nowhere.toml")
