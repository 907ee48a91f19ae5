"""Every command and setting is documented, and every documented one exists."""

from __future__ import annotations

import re
from pathlib import Path

import click

from jobs.cli import main
from jobs.settings import Settings

ROOT = Path(__file__).parent.parent
OPERATIONS = (ROOT / "docs/operations.md").read_text()
PROSE = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def test_every_setting_is_documented_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| `(IMAGESWEEP_\w+)` \| .*? \| (.+) \|$", OPERATIONS, re.MULTILINE))
    assert rows == {f"IMAGESWEEP_{name.upper()}": field.description for name, field in Settings.model_fields.items()}


def test_every_setting_that_is_spoken_of_exists() -> None:
    known = {f"IMAGESWEEP_{name.upper()}" for name in Settings.model_fields}
    for path in PROSE:
        assert set(re.findall(r"IMAGESWEEP_[A-Z_]*[A-Z]", path.read_text())) <= known, path


def test_every_command_is_documented_and_every_documented_one_exists() -> None:
    assert isinstance(main, click.Group)
    assert set(re.findall(r"^\| `imagesweep (\w+)", OPERATIONS, re.MULTILINE)) == set(main.commands)


def test_every_option_that_is_spoken_of_exists() -> None:
    assert isinstance(main, click.Group)
    options = {name for command in main.commands.values() for parameter in command.params for name in parameter.opts} | {"--help"}
    for path in (ROOT / "README.md", ROOT / "docs/operations.md"):
        for line in path.read_text().splitlines():
            if "imagesweep " in line:
                assert set(re.findall(r"(?<=[ `])--[a-z-]+", line)) <= options, line


def test_links_lead_somewhere() -> None:
    for path in PROSE:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
