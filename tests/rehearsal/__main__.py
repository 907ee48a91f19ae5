"""A dress rehearsal of a deployment in Azure, without a subscription: `make rehearse`.

Starts servers and stand-ins for the four services on free ports of this machine, plays a deployment through the command line and
the SDKs, and holds it to what is promised. The last line says how it went; exit status 0, 1 where something was wrong, 2 where the
stage could not be set.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.rehearsal.play import play
from tests.rehearsal.prompter import Prompter, Wrong
from tests.rehearsal.stage import Stage, staged
from tests.servers.node import NodeMissing, ServerFailed, installed

IN_PLACE_OF = {
    "IMAGESWEEP_SOURCE": "Azurite, in the place of Blob Storage",
    "IMAGESWEEP_CLASSIFIER": "a stand-in for AI Vision, which sees with the local model",
    "IMAGESWEEP_EMBEDDER": "the same, for vectors of likeness",
    "IMAGESWEEP_STORE": "a Cosmos DB server",
    "IMAGESWEEP_INDEX": "a stand-in for AI Search",
}


def main() -> int:
    """Rehearse; return the exit status."""
    begun = time.monotonic()
    _tell("# Setting the stage: servers on free ports of this machine.")
    try:
        installed()
        with tempfile.TemporaryDirectory(prefix="imagesweep-rehearsal-") as folder, staged(Path(folder)) as stage:
            home = Path(folder) / "home"
            home.mkdir()
            _introduce(stage)
            prompter = Prompter(home, stage.settings, _tell)
            play(prompter, stage)
            calls = stage.calls()
    except (NodeMissing, ServerFailed) as error:
        _tell(f"\nThe rehearsal could not begin: {error}")
        return 2
    except Wrong as wrong:
        _tell(f"\nThe rehearsal FAILED. {wrong}")
        return 1
    took = time.monotonic() - begun
    _tell(f"\nThe rehearsal passed: {prompter.commands} commands, {prompter.expected} expectations, {calls} calls, {took:.0f} s.")
    return 0


def _introduce(stage: Stage) -> None:
    for name, value in stage.settings.items():
        note = f"    # {IN_PLACE_OF[name]}" if name in IN_PLACE_OF else ""
        _tell(f"$ export {name}={'…' if name.endswith('_KEY') else value}{note}")


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
