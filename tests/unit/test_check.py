from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from jobs.adapters import onnx_model
from jobs.adapters.azure_vision import open_azure_vision
from jobs.check import Part, check, classified, said
from jobs.cli import main
from jobs.errors import Misconfigured, Transient
from jobs.settings import Settings
from jobs.wiring.checks import parts as parts_of
from tests.acceptance.conftest import picture
from tests.conftest import Run
from tests.standins.vision import Fault
from tests.unit.vision_kit import CREDENTIAL, QUESTION, World, preparation, world

__all__ = ["world"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("IMAGESWEEP_")]:
        monkeypatch.delenv(name)
    (tmp_path / "samples").mkdir()
    picture(1).save(tmp_path / "samples" / "a.png")
    return tmp_path


def checked(*options: str, **settings: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit status and what was said of each part."""
    environment = {f"IMAGESWEEP_{name.upper()}": value for name, value in settings.items()}
    done = CliRunner().invoke(main, ["check", "--json", *options], env=environment)
    return done.exit_code, {part["part"]: part for part in json.loads(done.stdout)["parts"]}


def test_the_embedded_parts_say_what_they_are_and_nothing_is_made(home: Path) -> None:
    status, parts = checked()
    assert status == 0
    assert [part["ok"] for part in parts.values()] == [True] * 4
    assert parts["source"]["fact"] == "it may be read; 1 files and folders at its top"
    assert "answered in" in str(parts["classifier"]["fact"])
    assert parts["store"]["fact"] == parts["index"]["fact"] == "not there yet: the first sweep makes it"
    assert [path.name for path in home.iterdir()] == ["samples"]

    swept = CliRunner().invoke(main, ["sweep", "--json"])
    assert swept.exit_code == 0, swept.output
    _, parts = checked()
    assert parts["store"]["fact"] == "schema 1, 1 records"
    assert str(parts["index"]["fact"]).endswith("1 documents")


@pytest.mark.parametrize(
    ("part", "settings", "said"),
    [
        ("source", {"source": "folder:nowhere"}, "nowhere"),
        ("source", {"source": "pigeon:loft"}, "IMAGESWEEP_SOURCE"),
        ("classifier", {"classifier": "onnx:nothing-like-it"}, "efficientnet-lite0"),
        ("classifier", {"classifier": "azure-vision:http://127.0.0.1:9/x", "vision_key": "k"}, "azure-vision:https://RESOURCE"),
        ("store", {"store": "sqlite:samples"}, "samples"),
        ("store", {"store": "sqlite:samples/a.png"}, "a.png"),
        ("store", {"store": "cosmos:https://127.0.0.1:9", "cosmos_key": "k"}, "IMAGESWEEP_STORE"),
        ("index", {"index": "tantivy:samples"}, "something else in this folder"),
        ("index", {"index": "azure-search:https://127.0.0.1:9/Images", "search_key": "k"}, "IMAGESWEEP_INDEX"),
        ("taxonomy", {"taxonomy": "./mine.yaml"}, "mine.yaml"),
    ],
)
@pytest.mark.usefixtures("home")
def test_what_is_wrong_is_said_of_its_part_alone(part: str, settings: dict[str, str], said: str) -> None:
    status, parts = checked(**{"classifier": "azure-vision:http://127.0.0.1:9/x", **settings})
    assert status == 2
    error = parts[part]["error"]
    assert said in str(error), error
    others = {name for name, told in parts.items() if not told["ok"]} - {part, "classifier"}
    assert not others


@pytest.mark.usefixtures("home")
def test_the_first_one_of_a_cascade_is_asked_and_must_cost_nothing(world: World) -> None:
    paid = {"classifier": f"azure-vision:{world.url}", "vision_key": "vision-key"}
    status, parts = checked(**paid, cascade="onnx:efficientnet-lite0")
    assert (status, "answered in" in parts["cascade"]["fact"]) == (0, True), parts
    status, parts = checked(**paid, cascade=paid["classifier"])
    assert (status, parts["cascade"]["ok"]) == (2, False)
    assert not world.standin.counts.paid


def test_a_model_that_was_tampered_with(home: Path) -> None:
    copy = home / "model"
    copy.mkdir()
    for path in (onnx_model.MODELS / "efficientnet-lite0").iterdir():
        (copy / path.name).write_bytes(path.read_bytes() + (b"!" if path.name == "model.onnx" else b""))
    _, parts = checked(classifier="onnx:./model")
    assert "checksum" in str(parts["classifier"]["error"])


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be written to, whoever runs the tests: to root, the modes of files say nothing."""
    monkeypatch.setattr(os, "access", lambda _, mode: not mode & os.W_OK)


def test_places_that_may_not_be_written_to(home: Path, request: pytest.FixtureRequest) -> None:
    assert CliRunner().invoke(main, ["sweep"]).exit_code == 0
    request.getfixturevalue("read_only")
    status, parts = checked()
    assert status == 2
    for part, where in (("store", home / ".imagesweep/results.db"), ("index", home / ".imagesweep/index")):
        error = parts[part]["error"]
        assert error["cause"] == "it may not be written to", error
        assert str(where).endswith(error["key"])


@pytest.mark.usefixtures("home", "read_only")
def test_a_place_where_nothing_can_be_made() -> None:
    status, parts = checked()
    assert status == 2
    assert ["may not be written to" in str(parts[part]["error"]) for part in ("store", "index")] == [True, True]


@pytest.mark.usefixtures("home")
def test_a_secret_in_a_setting_is_not_shown() -> None:
    place = "azure-blob:https://{}account.blob.core.windows.net/photos{}"
    listed = f"{place.format('user:hush@', '')},{place.format('', '?sv=2026&sig=hush')}"
    settings = Settings(source=listed)
    assert [part.where for part in parts_of(settings, pay=False)][:2] == [place.format("", "")] * 2
    done = CliRunner().invoke(main, ["check"], env={"IMAGESWEEP_SOURCE": listed})
    assert done.exit_code == 2
    assert "hush" not in done.output


def test_a_part_that_is_busy_is_asked_again_and_one_that_is_wrong_is_not(run: Run) -> None:
    asked: list[str] = []

    async def busy() -> str:
        asked.append("busy")
        if asked.count("busy") < 2:
            raise Transient("ask", "it", "busy", retry_after=0.0)
        return "well"

    async def wrong() -> str:
        asked.append("wrong")
        raise Misconfigured("ask", "it", "wrong")

    async def all_of_it() -> Sequence[str]:
        parts = [Part("one", "", wrong), Part("two", "", busy)]
        return [finding.fact or str(finding.error) async for finding in check(parts)]

    assert run(all_of_it()) == ["ask it: wrong", "well"]
    assert asked == ["wrong", "busy", "busy"]


def test_what_has_no_check_of_its_own_was_opened(run: Run) -> None:
    assert run(said(object())) == "it was opened"


def test_ai_vision_is_checked_without_paying_unless_that_is_asked_for(world: World) -> None:
    async def told(*, pay: bool) -> str:
        async with open_azure_vision(world.url, QUESTION, credential=CREDENTIAL, preparation=preparation(), price=0.0025) as vision:
            return await classified(vision, pay=pay)

    assert "no call was made" in world.run(told(pay=False))
    assert not world.standin.counts.paid
    assert "for 0.0025" in world.run(told(pay=True))
    assert sum(world.standin.counts.paid.values()) == 1


@pytest.mark.usefixtures("home")
def test_an_embedder_is_checked_without_paying_unless_that_is_asked_for(world: World) -> None:
    settings = {"classifier": f"azure-vision:{world.url}", "embedder": f"azure-vision:{world.url}/", "vision_key": "vision-key"}
    status, parts = checked(**settings)
    assert (status, "no call was made" in str(parts["embedder"]["fact"])) == (0, True), parts
    assert not world.standin.counts.embedded
    status, parts = checked("--pay", **settings)
    assert "1,024 numbers" in str(parts["embedder"]["fact"])
    assert (sum(world.standin.counts.embedded.values()), sum(world.standin.counts.paid.values())) == (1, 1)
    world.standin.terms.always = Fault(status=403, code="403", message="Forbidden")
    status, parts = checked(**settings)
    assert (status, parts["embedder"]["ok"], parts["classifier"]["ok"]) == (2, False, False)
