"""From an answer of Image Analysis 4.0 to an analysis, with places where people see them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.adapters.azure_vision_mapping import NOTHING, lying, mapped
from jobs.model import Box, Crop, Facts, Line, Region, Tag

SHOWN = Facts(800, 600, "JPEG")
BOX = {"x": 80, "y": 60, "w": 160, "h": 120}


def answer(width: int = 800, height: int = 600, **parts: Any) -> dict[str, Any]:
    return {"modelVersion": "2023-10-01", "metadata": {"width": width, "height": height}} | parts


def line(text: str, *shares: float) -> dict[str, Any]:
    corners = [{"x": 10, "y": 20}, {"x": 30, "y": 20}, {"x": 30, "y": 40}, {"x": 10, "y": 40}]
    words = [{"text": text, "boundingPolygon": corners, "confidence": share} for share in shares]
    return {"text": text, "boundingPolygon": corners, "words": words}


FULL = answer(
    captionResult={"text": "a woman at a table", "confidence": 0.85},
    denseCaptionsResult={
        "values": [
            {"text": "a laptop", "confidence": 0.77, "boundingBox": BOX},
            {"text": "a woman at a table", "confidence": 0.85, "boundingBox": {"x": 0, "y": 0, "w": 800, "h": 600}},
        ]
    },
    tagsResult={"values": [{"name": "indoor", "confidence": 0.5}, {"name": "person", "confidence": 0.98}]},
    objectsResult={
        "values": [
            {"boundingBox": BOX, "tags": [{"name": "device", "confidence": 0.4}, {"name": "laptop", "confidence": 0.7}]},
            {"boundingBox": BOX, "tags": []},
        ]
    },
    peopleResult={"values": [{"boundingBox": BOX, "confidence": 0.2}, {"boundingBox": BOX, "confidence": 0.9}]},
    readResult={"blocks": [{"lines": [line("EXIT", 0.9, 0.5), line("now")]}]},
    smartCropsResult={"values": [{"aspectRatio": 1.33, "boundingBox": BOX}]},
)


def test_a_full_answer_is_mapped_in_full() -> None:
    found = mapped(FULL, SHOWN)
    box = Box(80, 60, 160, 120)
    corners = ((10, 20), (30, 20), (30, 40), (10, 40))
    assert found.tags == (Tag("person", 0.98), Tag("indoor", 0.5))
    assert (found.caption, found.caption_confidence, found.answered) == ("a woman at a table", 0.85, "2023-10-01")
    assert found.regions == (Region("a woman at a table", 0.85, Box(0, 0, 800, 600)), Region("a laptop", 0.77, box))
    assert found.objects == (Region("laptop", 0.7, box),)
    assert found.people == (Region("person", 0.9, box), Region("person", 0.2, box))
    assert found.text == (Line("EXIT", 0.7, corners), Line("now", 0.0, corners))
    assert found.crops == (Crop(1.33, box),)
    assert found.facts is SHOWN
    assert found.embedding is None


def test_what_was_not_asked_for_stays_empty() -> None:
    found = mapped(answer(), SHOWN)
    assert (found.tags, found.objects, found.people, found.regions, found.text, found.crops) == ((), (), (), (), (), ())
    assert (found.caption, found.caption_confidence) == (NOTHING, 0.0)
    assert mapped(answer(readResult={"blocks": []}), SHOWN).text == ()


@pytest.mark.parametrize(("share", "phrase"), [(0.5, "a picture of dog"), (0.49, "possibly dog")])
def test_without_a_caption_a_phrase_claims_no_more_than_the_best_tag(share: float, phrase: str) -> None:
    found = mapped(answer(tagsResult={"values": [{"name": "cat", "confidence": 0.1}, {"name": "dog", "confidence": share}]}), SHOWN)
    assert (found.caption, found.caption_confidence) == (phrase, share)


def test_a_name_comes_once_and_confidences_stay_within_bounds() -> None:
    values = [{"name": "dog", "confidence": 0.4}, {"name": "dog", "confidence": 1.0000001}, {"name": "cat", "confidence": -0.1}]
    assert mapped(answer(tagsResult={"values": values}), SHOWN).tags == (Tag("dog", 1.0), Tag("cat", 0.0))


def test_places_are_scaled_to_the_picture_as_shown() -> None:
    found = mapped(answer(400, 300, peopleResult={"values": [{"boundingBox": BOX, "confidence": 1}]}), SHOWN)
    assert found.people[0].box == Box(160, 120, 320, 240)


UPRIGHT = Facts(600, 800, "JPEG")
"""As shown; the service saw it 800 wide and 600 high."""
TURNED = {5: Box(60, 80, 120, 160), 6: Box(420, 80, 120, 160), 7: Box(420, 560, 120, 160), 8: Box(60, 560, 120, 160)}


@pytest.mark.parametrize("orientation", TURNED)
def test_places_in_a_picture_seen_on_its_side_are_turned_upright(orientation: int) -> None:
    seen = answer(peopleResult={"values": [{"boundingBox": BOX, "confidence": 1}]})
    assert lying(seen, UPRIGHT)
    assert mapped(seen, UPRIGHT, orientation=orientation).people[0].box == TURNED[orientation]


@pytest.mark.parametrize(
    ("size", "facts"), [((800, 600), SHOWN), ((400, 300), SHOWN), ((600, 600), UPRIGHT), ((300, 400), UPRIGHT)]
)
def test_a_picture_seen_upright_is_not_turned(size: tuple[int, int], facts: Facts) -> None:
    assert not lying(answer(*size), facts)


_numbers = st.integers(0, 800)


@given(_numbers, _numbers, _numbers, _numbers, st.sampled_from([5, 6, 7, 8]))
def test_no_turn_leads_out_of_the_picture(x: int, y: int, width: int, height: int, orientation: int) -> None:
    box = {"x": x, "y": min(y, 600), "w": min(width, 800 - x), "h": min(height, 600 - min(y, 600))}
    place = mapped(answer(smartCropsResult={"values": [{"aspectRatio": 1, "boundingBox": box}]}), UPRIGHT, orientation=orientation)
    turned = place.crops[0].box
    assert min(turned.x, turned.y) >= 0
    assert turned.x + turned.width <= 600
    assert turned.y + turned.height <= 800
    assert turned.width * turned.height == box["w"] * box["h"]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"modelVersion": "1"},
        {"metadata": {"width": 1, "height": 1}},
        answer(0, 5),
        answer(tagsResult={"values": [{"name": "dog"}]}),
        answer(captionResult={"text": "a dog"}),
        answer(peopleResult={"values": [{"confidence": 1}]}),
        answer(readResult={"blocks": [{"lines": [{}]}]}),
        answer(captionResult={"text": "a dog", "confidence": "high"}),
    ],
    ids=str,
)
def test_an_answer_of_another_form_is_told_from_one(broken: dict[str, Any]) -> None:
    with pytest.raises((LookupError, TypeError, ValueError)):
        mapped(broken, SHOWN)
