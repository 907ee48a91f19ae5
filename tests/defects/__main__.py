"""Plant known defects, one at a time, and show what kills each: `python -m tests.defects --all`, or NAME after NAME.

Without a name, lists the defects. Fails when one survives, and when one cannot be planted.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.defects.catalogue import DEFECTS
from tests.defects.defect import Defect
from tests.defects.planting import Verdict, copied, try_to_kill


def verdicts(defects: Sequence[Defect]) -> Iterator[Verdict]:
    """Try to kill each defect, on all cores, in the order given."""
    with copied() as clean, ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(partial(try_to_kill, clean=clean), defects)


def row(verdict: Verdict) -> str:
    """Return one row of the table."""
    defect = verdict.defect
    message = verdict.message.strip().splitlines() or [""]
    return f"{defect.name:44}  {defect.promise:28}  {verdict.seconds:5.1f} s  {verdict.killer or 'SURVIVED'}: {message[-1]}"


def main(arguments: Sequence[str]) -> int:
    """Print a table of what killed what, and return the exit status."""
    known = {defect.name: defect for defect in DEFECTS}
    unknown = [name for name in arguments if name != "--all" and name not in known]
    if not arguments or unknown:
        print("\n".join([*(f"no defect is called {name!r}" for name in unknown), "--all or some of:", *known]))
        return 2
    begun = time.monotonic()
    survivors = 0
    chosen = DEFECTS if "--all" in arguments else [known[name] for name in arguments]
    for verdict in verdicts(chosen):
        survivors += verdict.killer is None
        print(row(verdict), flush=True)
    print(f"{time.monotonic() - begun:.0f} s")
    print(f"{len(chosen)} defects, {survivors} survived")
    return bool(survivors)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
