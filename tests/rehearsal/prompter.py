"""Who runs the program on the stage, shows what it says, and holds it to what was expected."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROGRAM = Path(sys.executable).parent / "imagesweep"
PATIENCE = 60.0
"""Seconds that one command may take."""


class Wrong(Exception):
    """Something did not come as expected; what it was, and what was seen."""


@dataclass(slots=True)
class Prompter:
    """Runs `imagesweep` in an empty folder with these settings and no others; `tell` shows a line."""

    home: Path
    settings: Mapping[str, str]
    tell: Callable[[str], None]
    commands: int = 0
    expected: int = 0
    begun: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Say what comes next."""
        self.tell(f"\n# {text}")

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run a command for all to see and return what it printed. Raises Wrong for another exit status."""
        self.tell(f"$ imagesweep {' '.join(arguments)}")
        out = self._run(arguments, status)
        for line in out.splitlines():
            self.tell(f"  {line}".rstrip())
        return out

    def expect(self, what: str, seen: object, wanted: object = True) -> None:  # noqa: FBT002 most of what is expected is so, or not
        """Hold something to what is wanted. Raises Wrong."""
        if seen != wanted:
            raise Wrong(f"{what}: {wanted!r} was expected, and {seen!r} was seen")
        self.expected += 1
        self.tell(f"  ✓ {what}" + ("" if wanted is True else f": {wanted}"))

    def _run(self, arguments: Sequence[str], status: int) -> str:
        self.commands += 1
        kept = {name: value for name, value in os.environ.items() if not name.startswith("IMAGESWEEP_")}
        done = subprocess.run(
            [str(PROGRAM), *arguments],
            cwd=self.home,
            env={**kept, **self.settings},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode != status or done.stderr:
            said = f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}".strip()
            raise Wrong(f"`imagesweep {' '.join(arguments)}` ended with exit status {done.returncode} and said:\n{said}")
        return done.stdout
