"""What is played: a deployment from nothing to the first search, and what happens to it afterwards."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.rehearsal.prompter import Prompter
from tests.rehearsal.stage import Stage

Report = Mapping[str, int]
OUTCOMES = ("classified", "reused", "unchanged", "skipped", "deferred", "dead", "gone")
DOG, CAT, HAMMER = "animals/dog.webp", "animals/cat.webp", "tools/hammer3.webp"


def play(prompter: Prompter, stage: Stage) -> None:
    """Play it all. Raises Wrong where something does not come as expected."""
    number = _prepare(prompter, stage)
    _first_sweep(prompter, stage, number)
    _search(prompter)
    _look(prompter)
    _nothing_new(prompter, stage)
    _overwritten(prompter, stage)
    _deleted(prompter, stage)
    prompter.say("How things stand.")
    prompter.run("status")


def _prepare(prompter: Prompter, stage: Stage) -> int:
    """Return the number of blobs."""
    prompter.say("Upload the samples, with author and licence as metadata.")
    number = stage.upload()
    prompter.tell(f"  {number} blobs")
    prompter.say("Make database, containers and index: once for a deployment.")
    prompter.run("index", "create")
    prompter.say("Would every part serve? This costs nothing.")
    prompter.run("check")
    prompter.expect("calls paid for so far", stage.calls(), 0)
    return number


def _first_sweep(prompter: Prompter, stage: Stage, number: int) -> None:
    prompter.say("What would a sweep do, and cost?")
    prompter.run("plan")
    prompter.say("Do it: list, classify, store, publish.")
    report = _swept(prompter)
    prompter.expect("images listed", report["listed"], number)
    _counts(prompter, stage, report, before=0)
    prompter.expect("contents paid for twice", len(stage.eyes.counts.twice), 0)
    prompter.expect("documents in the index: all that were classified or reused", stage.documents(), _shown(report))
    prompter.expect("nothing deferred", report["deferred"], 0)


def _search(prompter: Prompter) -> None:
    prompter.say("Find images by what is in them.")
    dogs = prompter.run("search", "dog", "--limit", "3")
    prompter.expect("the dog is found", DOG in dogs)
    castles = prompter.run("search", "castle", "--limit", "3")
    prompter.expect("a castle is found", "monuments/" in castles)
    prompter.say("And by what came with them: the metadata of the blobs.")
    free = prompter.run("search", "--property", "licence=CC0-1.0", "--facet", "folder", "--limit", "3")
    prompter.expect("photos in the public domain by CC0 are found", "animals/" in free)


def _look(prompter: Prompter) -> None:
    prompter.say("What could not be classified, and why?")
    dead = prompter.run("failures")
    prompter.expect("the broken samples are named", all(name in dead for name in ("truncated.jpg", "empty.jpg", "text.jpg")))
    prompter.say("Do source, store and index agree?")
    prompter.expect("they agree", "Source, store and index agree." in prompter.run("audit"))


def _nothing_new(prompter: Prompter, stage: Stage) -> None:
    prompter.say("Sweep again: nothing is new, so nothing is called.")
    before = stage.calls()
    report = _swept(prompter)
    _counts(prompter, stage, report, before=before)
    prompter.expect("calls", report["calls"], 0)


def _overwritten(prompter: Prompter, stage: Stage) -> None:
    prompter.say(f"Overwrite {CAT} with another picture, and sweep.")
    before = stage.calls()
    stage.overwrite(CAT)
    report = _swept(prompter)
    _counts(prompter, stage, report, before=before)
    prompter.expect("images classified", report["classified"], 1)
    shown = prompter.run("show", CAT)
    newest = "analysed version" not in shown and re.search(r"revision +2\b", shown) is not None
    prompter.expect("the result is of the new version", newest)


def _deleted(prompter: Prompter, stage: Stage) -> None:
    prompter.say(f"Delete {HAMMER}. Sweeps cannot see that; audits do.")
    prompter.expect("it is found before", HAMMER in prompter.run("search", "hammer", "--limit", "10"))
    documents = stage.documents()
    stage.delete(HAMMER)
    prompter.expect("the audit names it", HAMMER in prompter.run("audit"))
    prompter.run("audit", "--repair")
    prompter.expect("documents in the index", stage.documents(), documents - 1)
    prompter.expect("it is found no longer", HAMMER not in prompter.run("search", "hammer", "--limit", "10"))
    prompter.expect("they agree again", "Source, store and index agree." in prompter.run("audit"))


def _swept(prompter: Prompter) -> Report:
    """Sweep, and return the numbers that its report shows, by their names."""
    text = prompter.run("sweep")
    rows = re.findall(r"(?m)^ *([a-z]+) +([0-9,]+)$", text)
    told = re.findall(r"([0-9,]+) (calls|published)", text)
    return {name: int(number.replace(",", "")) for name, number in [*rows, *((name, number) for number, name in told[:2])]}


def _counts(prompter: Prompter, stage: Stage, report: Report, *, before: int) -> None:
    """Hold a sweep to its own sums, and to what the stand-in counted."""
    prompter.expect("the outcomes add up to what was listed", sum(report[name] for name in OUTCOMES), report["listed"])
    prompter.expect("calls counted by AI Vision, as reported", stage.calls() - before, report["calls"])
    prompter.expect("documents published, as classified or reused", report["published"], _shown(report))


def _shown(report: Report) -> int:
    """Return how many images of a run belong into the index."""
    return report["classified"] + report["reused"]
