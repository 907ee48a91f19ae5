"""The command line."""

from __future__ import annotations

import click

from jobs.cli.audit import audit_command
from jobs.cli.backfill import backfill_command, redrive_command
from jobs.cli.find import search_command
from jobs.cli.index import index_command
from jobs.cli.keep import export_command, forget_command, import_command
from jobs.cli.look import failures_command, show_command, status_command
from jobs.cli.runs import plan_command, sweep_command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="imagesweep", message="imagesweep %(version)s")
def main() -> None:
    """Classify every image of a source once, and find images by what is in them.

    \b
    Begin with:
      imagesweep plan             what would a sweep do?
      imagesweep sweep            do it
      imagesweep search dog       find what was swept

    Settings are environment variables IMAGESWEEP_*, or lines of a file .env; docs/operations.md lists them all.
    """  # noqa: D301


for command in (
    plan_command,
    sweep_command,
    backfill_command,
    redrive_command,
    audit_command,
    search_command,
    show_command,
    failures_command,
    status_command,
    index_command,
    forget_command,
    export_command,
    import_command,
):
    main.add_command(command)
