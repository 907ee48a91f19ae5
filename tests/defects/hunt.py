"""Look for the world that shows a defect: `python -m tests.defects.hunt FIRST NUMBER EXPRESSION`, in the copy where it is planted.

Stops at the first violation whose text matches; exit status 0 when there is one, 3 when there is none. Other violations are told
then: a defect that only breaks something else was not planted well.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import jobs
from tests.simulation.__main__ import simulate

NOT_FOUND = 3


def hunt(first: int, number: int, says: str) -> tuple[bool, list[str]]:
    """Return whether a violation was found that matches, and it, or else all others."""
    others: list[str] = []
    for seed in range(first, first + number):
        for violation in simulate(seed).violations:
            if ": Violation: " in violation and re.search(says, violation):
                return True, [violation]
            others.append(violation)
    return False, others


def main() -> int:
    """Hunt, say what was found, and return the exit status."""
    first, number, says = sys.argv[1:]
    if Path(jobs.__file__).parents[1] != Path.cwd():
        raise RuntimeError(f"{jobs.__file__} is not the copy in {Path.cwd()}")
    found, violations = hunt(int(first), int(number), says)
    sys.stdout.write("\n".join(violations[:5]) or f"none in {number} worlds")
    return 0 if found else NOT_FOUND


if __name__ == "__main__":
    sys.exit(main())
