"""Parse every Bicep file, print the file and what is wrong with it, and say by the exit status whether all are well."""

from __future__ import annotations

import sys
from pathlib import Path

from pycep import BicepParser

HERE = Path(__file__).parent


def main() -> int:
    """Return 0 where every file could be read, else 1."""
    files = sorted(HERE.rglob("*.bicep"))
    wrong = 0
    parser = BicepParser()
    for path in files:
        try:
            parser.parse(text=path.read_text())
        except Exception as error:  # noqa: BLE001 the parser's errors have no common type of their own
            wrong += 1
            print(f"{path.relative_to(HERE.parent)}: {str(error).strip()}", file=sys.stderr)
    print(f"pycep: {len(files) - wrong} of {len(files)} Bicep files can be read.")
    return 1 if wrong or not files else 0


if __name__ == "__main__":
    sys.exit(main())
