"""What a call costs is the sum of what it asks for, by a table that may be one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.errors import Misconfigured
from jobs.prices import Tariff, load


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


MILLION = 1_000_000


@pytest.mark.parametrize(
    ("features", "images", "cost"),
    [
        (["tags"], 100 * MILLION, 60_850),
        (["caption"], 100 * MILLION, 60_900),
        (["tags", "caption"], 100 * MILLION, 121_750),
        (["tags", "objects"], 10 * MILLION, 1_000 + 9 * 650 + 10 * 600),
        (["tags"], 0, 0),
    ],
)
def test_a_month_of_many_calls_is_paid_by_tiers_that_the_features_of_a_group_fill_together(
    features: list[str], images: int, cost: float
) -> None:
    prices = load()
    tariff = Tariff(prices.meters("azure-vision", features), 1, prices.currency, prices.said)
    assert tariff.cost(images) == pytest.approx(cost)
    assert sum(line.cost for line in tariff.lines(images)) == pytest.approx(cost)
    assert tariff.cost(images // 2) + tariff.cost(images - images // 2, images // 2) == pytest.approx(cost)


def test_a_figure_says_which_tiers_it_uses() -> None:
    [(_, meter)] = load().meters("azure-vision", ["tags"])
    assert meter.reached(MILLION, 0) == "1"
    assert meter.reached(MILLION + 1, 0) == "1, then 0.65 from 1,000,000"
    assert meter.reached(1, 200 * MILLION) == "0.4 from 100,000,000"
    assert meter.dearest == 0.001


def test_budgets_go_by_the_dearest_tier(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text('[azure-vision]\ntags = "row"\n[tiers]\nrow = [[0, 0], [5000, 2.5]]\n')
    assert load(own).of("azure-vision", ["tags"]) == 0.0025


@pytest.mark.parametrize(
    "row",
    ["[]", "1.0", '"x"', "[[1, 1.0]]", "[[0, -1]]", "[[0, 1, 2]]", "[[0, 1], [0, 2]]", "[[0, 1], [9, 2], [5, 1]]", "[[0.5, 1]]"],
)
def test_tiers_that_are_none_are_refused_by_name(tmp_path: Path, row: str) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(f'[azure-vision]\ntags = "row"\n[tiers]\nrow = {row}\n')
    with pytest.raises(Misconfigured, match=r"tiers\.row"):
        load(own)


def test_tiers_that_are_not_there_are_no_price(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text('[azure-vision]\ntags = "nowhere"\n')
    with pytest.raises(Misconfigured, match=r"azure-vision\.tags is 'nowhere'"):
        load(own)
