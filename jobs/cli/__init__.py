"""The command line."""

from __future__ import annotations

import ctypes
import logging
from contextlib import suppress

import click

from jobs.cli.audit import audit_command
from jobs.cli.backfill import backfill_command, redrive_command
from jobs.cli.check import check_command
from jobs.cli.correct import correct_command
from jobs.cli.find import search_command
from jobs.cli.group import group_command
from jobs.cli.index import index_command
from jobs.cli.keep import export_command, forget_command, import_command
from jobs.cli.look import failures_command, show_command, status_command
from jobs.cli.output import printable
from jobs.cli.plan import plan_command
from jobs.cli.report import report_command
from jobs.cli.runs import sweep_command
from jobs.cli.serve import serve_command
from jobs.cli.teach import teach_command

_M_ARENA_MAX = -8
"""From malloc.h of glibc."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="imagesweep", message="imagesweep %(version)s")
def main() -> None:
    """Classify every image of a source once, and find images by what is in them.

    \b
    Begin with:
      imagesweep check            would every part serve?
      imagesweep plan             what would a sweep do?
      imagesweep sweep            do it
      imagesweep search dog       find what was swept

    Settings are environment variables IMAGESWEEP_*, or lines of a file .env; docs/operations.md lists them all.
    """  # noqa: D301
    _share_one_heap()
    handler = logging.StreamHandler()
    handler.setFormatter(_Plain())
    logging.getLogger("imagesweep").addHandler(handler)


def _share_one_heap() -> None:
    """Let all threads allocate from one heap, where the C library is glibc.

    An index writer's threads live for one batch; what each frees into a heap of its own is of no use to the next, and a sweep's
    memory grew by a third over 20,000 images.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(_M_ARENA_MAX, 1)


class _Plain(logging.Formatter):
    """Writes a logged event with what it is about as one line for people."""

    def format(self, record: logging.LogRecord) -> str:
        about = " ".join(printable(str(getattr(record, name))) for name in ("key", "reason") if hasattr(record, name))
        return f"imagesweep: {record.getMessage()} {about}"


for command in (
    plan_command,
    sweep_command,
    backfill_command,
    redrive_command,
    audit_command,
    search_command,
    serve_command,
    correct_command,
    group_command,
    teach_command,
    report_command,
    show_command,
    failures_command,
    status_command,
    index_command,
    check_command,
    forget_command,
    export_command,
    import_command,
):
    main.add_command(command)
