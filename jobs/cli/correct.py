"""The command by which people correct labels, and take what they said away as a training set."""

from __future__ import annotations

import asyncio
import getpass
import json
from dataclasses import asdict
from pathlib import Path

import click

from jobs import taxonomy, wiring
from jobs.cli.output import answering, out, print_json, printable
from jobs.correct import correct, examples
from jobs.corrections import Said, seen
from jobs.erase import Shelf
from jobs.errors import Misconfigured, StorageFailed
from jobs.model import Record, blob_id
from jobs.settings import Settings, load

Word = tuple[str, Said | None]


@click.command("correct", short_help="Add, remove or pin labels of an image, or export what was said.")
@click.argument("name", required=False)
@click.option("--add", "added", multiple=True, metavar="LABEL", help="It has this label; may be repeated.")
@click.option("--remove", "removed", multiple=True, metavar="LABEL", help="It has not; may be repeated.")
@click.option("--pin", "pinned", multiple=True, metavar="LABEL", help="It keeps this label, whatever is answered later.")
@click.option("--undo", "undone", multiple=True, metavar="LABEL", help="Take back what was said of this label.")
@click.option("--training", "training", type=click.Path(path_type=Path, dir_okay=False), help="Write all that was said to a file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def correct_command(
    *,
    name: str | None,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    pinned: tuple[str, ...],
    undone: tuple[str, ...],
    training: Path | None,
    as_json: bool,
) -> None:
    """Correct labels of the image NAME, the path below its source. The index shows it at once, and no classifier is called.

    What is said is about the bytes that the image has now: it outlives every new answer about them, and is never copied.

    \b
    Examples:
      imagesweep correct animals/dog.webp --remove "german shepherd" --add malinois
      imagesweep correct --training corrections.jsonl
    """  # noqa: D301
    words: list[Word] = [(label, "added") for label in added]
    words += [(label, "removed") for label in removed]
    words += [(label, "pinned") for label in pinned]
    words += [(label, None) for label in undone]
    if (name is None) == (training is None) or (name is not None and not words):
        raise click.UsageError("Give NAME and what to say of it, or --training FILE alone.")
    with answering(as_json=as_json):
        if training is not None:
            number = asyncio.run(_export(load(), training))
            if as_json:
                print_json({"file": str(training), "images": number})
            else:
                out.print(f"What was said of {number:,} images is in {printable(str(training))}.")
        elif name is not None:
            _print(asyncio.run(_correct(load(), name, words)), as_json=as_json)


def _print(record: Record, *, as_json: bool) -> None:
    found = seen(record)
    labels = [tag.name for tag in found.tags] if found else []
    if as_json:
        print_json({"name": record.name, "labels": labels, "categories": record.categories, "rev": record.rev})
    else:
        out.print(f"{printable(record.name)}: {printable(', '.join(labels) or 'no labels')}")


async def _correct(settings: Settings, name: str, words: list[Word]) -> Record:
    rules = taxonomy.load(settings.taxonomy)
    async with wiring.store(settings) as store, wiring.publishing(settings, store) as index:
        ids = [blob_id(key, name) for key in await wiring.keys(settings)]
        known = [one for one in ids if one in await store.look_up(ids)]
        if len(known) != 1:
            cause = f"{len(known)} sources have it" if known else "it is not in the ledger"
            raise Misconfigured("correct", name, cause, hint="If it is in the source, a sweep takes it." if not known else "")
        shelf = Shelf(store, store, store, index)
        for label, says in words:
            record = await correct(key=known[0], label=label, says=says, by=_person(), taxonomy=rules, shelf=shelf)
    return record


async def _export(settings: Settings, path: Path) -> int:
    """Write one image a line, as JSON; return how many."""
    number = 0
    async with wiring.store(settings, read_only=True) as store:
        try:
            with path.open("w", encoding="utf-8") as file:
                async for one in examples(ledger=store, sources=await wiring.keys(settings)):
                    file.write(json.dumps(asdict(one), ensure_ascii=False) + "\n")
                    number += 1
        except OSError as error:
            raise StorageFailed("export", str(path), str(error)) from error
    return number


def _person() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
