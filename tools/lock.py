"""Write the locked requirements files from pyproject.toml and infra/requirements.in, or check that they have not drifted from them.

The check prefers the locked versions when it resolves, so only a change of what is asked for makes a difference, not a new release.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = {
    "requirements.txt": (),
    "requirements-local.txt": ("local",),
    "requirements-cluster.txt": ("local", "cluster"),
    "requirements-dev.txt": ("local", "parquet", "dev"),
    "infra/requirements.txt": (),
}
SOURCES = {"infra/requirements.txt": "infra/requirements.in"}
"""What a file is made from, where that is not pyproject.toml."""


def compile_lock(source: str, extras: tuple[str, ...], output: Path, *, upgrade: bool) -> None:
    """Resolve what a file asks for, with some extras, into one file with hashes and without addresses."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
    command += [
        "--generate-hashes",
        "--no-emit-index-url",
        "--no-header",
        "--no-annotate",
        source,
        "--output-file",
        str(output),
    ]
    command += [part for extra in extras for part in ("--extra", extra)] + (["--upgrade"] if upgrade else [])
    subprocess.run(command, cwd=ROOT, check=True)


def main() -> int:
    """Write the files, or compare them; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail on drift")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    arguments = parser.parse_args()
    drifted = []
    for name, extras in FILES.items():
        source = SOURCES.get(name, "pyproject.toml")
        if not arguments.check:
            compile_lock(source, extras, ROOT / name, upgrade=arguments.upgrade)
            continue
        with tempfile.TemporaryDirectory() as folder:
            again = Path(folder) / "requirements.txt"
            shutil.copyfile(ROOT / name, again)
            compile_lock(source, extras, again, upgrade=False)
            if again.read_text() != (ROOT / name).read_text():
                drifted.append(name)
    if drifted:
        print(f"{', '.join(drifted)}: not what pyproject.toml or infra/requirements.in asks for. Run `make lock`.", file=sys.stderr)
    return bool(drifted)


if __name__ == "__main__":
    sys.exit(main())
