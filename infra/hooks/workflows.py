"""Pack workflows of logicapp/ for deployment: `workflows.py OUTPUT.zip NAME...`, with the parameters that they use and no others.

The rest of parameters.json and connections.json are of `no-code-sweep`, and ask for settings that the template does not make.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parent.parent.parent / "logicapp"


def pack(output: Path, names: list[str]) -> list[str]:
    """Write the package; return the names of the parameters in it."""
    definitions = {name: (FOLDER / name / "workflow.json").read_text() for name in names}
    used = {found for text in definitions.values() for found in re.findall(r"parameters\('(\w+)'\)", text)}
    known = json.loads((FOLDER / "parameters.json").read_text())
    kept = {name: value for name, value in known.items() if name in used}
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as package:
        package.write(FOLDER / "host.json", "host.json")
        package.writestr("parameters.json", json.dumps(kept, indent=2))
        for name, text in definitions.items():
            package.writestr(f"{name}/workflow.json", text)
    return sorted(kept)


if __name__ == "__main__":
    print("parameters:", ", ".join(pack(Path(sys.argv[1]), sys.argv[2:])))
