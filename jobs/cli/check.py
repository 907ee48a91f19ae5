"""The command that asks every part whether it would serve: check."""

from __future__ import annotations

import asyncio
import sys

import click
from rich.text import Text

from jobs.check import Finding, check
from jobs.cli.output import COMPLETE, USAGE, answering, as_error, out, print_json, printable
from jobs.settings import Settings, load
from jobs.wiring.checks import parts


@click.command("check", short_help="Ask each part: reachable, authorised, right schema?")
@click.option("--pay", is_flag=True, help="Let paid parts answer once: this proves region, model version and quota as well.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def check_command(*, pay: bool, as_json: bool) -> None:
    """Ask source, classifier, store and index one by one whether they can be reached, may be used, and are of the right schema,
    and say for each what is there, or what is wrong and what to do.

    Changes nothing and costs no call: AI Vision is sent something that is no image, which it refuses. With --pay it gets one
    small picture, and an embedder as well.

    \b
    Examples:
      imagesweep check
      imagesweep check --pay --json

    Exit status: 0 all is well, 2 something is to be mended.
    """  # noqa: D301, D205
    with answering(as_json=as_json):
        findings = asyncio.run(_check(load(), pay=pay, show=not as_json))
        wrong = sum(finding.error is not None for finding in findings)
        if as_json:
            print_json({"ok": not wrong, "parts": [_plain(finding) for finding in findings]})
        else:
            mend = "all is well" if not wrong else f"{wrong} to be mended"
            out.print(Text(f"{len(findings)} parts, {mend}.", style="red" if wrong else "green"))
        sys.exit(USAGE if wrong else COMPLETE)


async def _check(settings: Settings, *, pay: bool, show: bool) -> list[Finding]:
    findings = []
    async for finding in check(parts(settings, pay=pay)):
        findings.append(finding)
        if show:
            _print(finding)
    return findings


def _plain(finding: Finding) -> dict[str, object]:
    told: dict[str, object] = {"part": finding.part.name, "where": finding.part.where, "ok": finding.error is None}
    return told | ({"fact": finding.fact} if finding.error is None else {"error": as_error(finding.error)})


def _print(finding: Finding) -> None:
    good = finding.error is None
    head = Text("ok     " if good else "wrong  ", style="green" if good else "red")
    out.print(head.append(f"{finding.part.name:<11}", style="bold").append(printable(finding.part.where), style="default"))
    out.print(f"       {printable(finding.fact if good else str(finding.error))}")
