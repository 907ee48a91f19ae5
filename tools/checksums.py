"""Keep the SHA256SUMS of a model folder, which the program verifies when it opens the model."""

from __future__ import annotations

import hashlib
from pathlib import Path


def record(file: Path) -> None:
    """Bring the file's line in the SHA256SUMS beside it up to date."""
    sums = file.parent / "SHA256SUMS"
    lines = sums.read_text().splitlines() if sums.exists() else []
    kept = [line for line in lines if line.split()[1] != file.name]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    sums.write_text("".join(f"{line}\n" for line in sorted([*kept, f"{digest}  {file.name}"], key=lambda line: line.split()[1])))
