from __future__ import annotations

from pathlib import Path

import pytest

from tests.defects.__main__ import verdicts
from tests.defects.catalogue import DEFECTS
from tests.defects.defect import Defect
from tests.defects.planting import ROOT, NotPlanted, copied, planted, try_to_kill

NO_DEFECT = Defect(
    name="no defect",
    promise="none",
    file="jobs/sweep.py",
    edits=(("async def sweep(", "async def sweep("),),
    says=".",
    seeds=range(3),
)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name.replace(" ", "-"))
def test_the_code_still_has_what_each_defect_changes(defect: Defect) -> None:
    source = (ROOT / defect.file).read_text()
    assert compile(planted(defect, source), defect.file, "exec")
    assert planted(defect, source) != source


def test_every_defect_has_a_name_of_its_own() -> None:
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)


def test_a_text_that_is_gone_is_an_error() -> None:
    with pytest.raises(NotPlanted, match="no defect"):
        planted(NO_DEFECT, "async def sweep_differently()")


@pytest.fixture(scope="module")
def clean() -> Path:
    with copied() as home:
        yield home


@pytest.mark.slow
def test_what_is_no_defect_survives(clean: Path) -> None:
    assert try_to_kill(NO_DEFECT, clean, fallback=NO_DEFECT.seeds).killer is None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_defect_survives() -> None:
    assert [verdict.defect.name for verdict in verdicts(DEFECTS) if verdict.killer is None] == []
