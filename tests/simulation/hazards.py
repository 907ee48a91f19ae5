"""The classes of hazard that a run of the simulation must have met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tests.simulation.shop import ACTS

PHASES = ("claim", "classify", "store", "index publish", "put Scan", "put OpenPage", "put Lease", "remove OpenPage", "source read")
REQUIRED = frozenset(
    {f"{way} {phase}" for way in ("crash before", "crash after", "fault before", "lost acknowledgement of") for phase in PHASES}
    | {f"freeze at {phase}" for phase in PHASES}
    | {f"torn {bulk}" for bulk in ("claim", "store", "index publish")}
    | {f"shop: {act}" for act in ACTS}
    | {
        "change behind the cursor",
        "lease held by another",
        "lease taken over",
        "zombie refused",
        "zombie stopped",
        "document refused by the index",
        "folder not readable",
        "model changed",
        "taxonomy changed",
        "categories derived anew",
        "two settlers at once",
        "service refuses every call",
        "storm of passing errors",
        "sweep complete",
        "sweep stopped",
        "sweep partial",
        "sweep failed",
        "night in slices",
        "audit with repair",
        "audit without repair",
        "archived blob deferred",
        "archived behind a listing",
        "deletion reached the index",
        "answer reused",
        "page taken over",
        "published to both",
        "led to the former index",
        "rebuild switched",
        "rebuild failed",
        "rebuild killed",
        "rebuild repaired",
        "rebuild cleared up",
        "rebuild brought another to its end",
        "rebuild LeaseHeld",
        "rebuild LeaseLost",
    }
)


def classes(hazards: Mapping[str, int]) -> Counter[str]:
    """Return how often each class of hazard fired."""
    return Counter({hazard: hazards.get(hazard, 0) for hazard in REQUIRED} | dict(hazards))


def missing(hazards: Mapping[str, int]) -> list[str]:
    """Return the classes that never fired."""
    return sorted(hazard for hazard in REQUIRED if not hazards.get(hazard))
