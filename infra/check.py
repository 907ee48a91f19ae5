"""Parse every Bicep file, and hold it to what checkov does not ask: nothing is to be had by a key or a password.

Prints the file and what is wrong with it; the exit status says whether all are well.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pycep import BicepParser

HERE = Path(__file__).parent
ASKED: dict[str, dict[str, object]] = {
    "Microsoft.Storage/storageAccounts": {"allowSharedKeyAccess": False, "allowBlobPublicAccess": False},
    "Microsoft.CognitiveServices/accounts": {"disableLocalAuth": True},
    "Microsoft.DocumentDB/databaseAccounts": {"disableLocalAuth": True, "minimalTlsVersion": "Tls12"},
    "Microsoft.Search/searchServices": {"disableLocalAuth": True},
    "Microsoft.Insights/components": {"DisableLocalAuth": True},
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": {"allow": False},
}
"""What the properties of a resource have to be, written as constants: a parameter might be anything."""


def wrong(parsed: dict[str, Any]) -> Iterator[str]:
    """Say what is wrong with the resources of one file."""
    for name, resource in parsed.get("resources", {}).items():
        config = resource["config"]
        config = config.get("config", config)  # of a resource with a condition or in a loop
        properties = config.get("properties", {})
        for key, value in ASKED.get(resource["type"], {}).items() if not resource["existing"] else ():
            if properties.get(key) != value or type(properties.get(key)) is not type(value):
                yield f"{name}: {key} has to be {value}, and is {properties.get(key, 'not there')}"


def main() -> int:
    """Return 0 where every file could be read and nothing is wrong, else 1."""
    files = sorted(HERE.rglob("*.bicep"))
    faults, unread = 0, 0
    parser = BicepParser()
    for path in files:
        try:
            said = list(wrong(parser.parse(text=path.read_text())))
        except Exception as error:  # noqa: BLE001 the parser's errors have no common type of their own
            unread += 1
            said = [str(error).strip()]
        for one in said:
            print(f"{path.relative_to(HERE.parent)}: {one}", file=sys.stderr)
        faults += len(said)
    print(f"pycep: {len(files) - unread} of {len(files)} Bicep files can be read, {faults} faults.")
    return 1 if faults or not files else 0


if __name__ == "__main__":
    sys.exit(main())
