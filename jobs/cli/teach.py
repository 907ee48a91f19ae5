"""The command by which categories are taught by example."""

from __future__ import annotations

import asyncio
import os
import tempfile
import unicodedata
from pathlib import Path

import click

from jobs.cli.output import answering, err, out, print_json, printable, table
from jobs.errors import Misconfigured, StorageFailed
from jobs.inscribe import inscribed, new, without
from jobs.settings import Settings, load
from jobs.teach import Teaching, teach
from jobs.wiring import embedders

LONGEST = 100
"""Characters of a category's name, as a taxonomy takes it."""


@click.command("teach", short_help="Teach categories by a folder of a few pictures each.")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--into", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Taxonomy file; made where there is none."
)
@click.option(
    "--against", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Pictures that are of none of the categories."
)
@click.option("--pay", is_flag=True, help="Let a paid embedder be asked, once for each picture; budgets do not count these calls.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def teach_command(*, folder: Path, into: Path, against: Path | None, pay: bool, as_json: bool) -> None:
    """Teach a category by each folder in FOLDER, from the pictures in it: two at least, better five or more.

    The pictures are embedded by what embeds the images of sweeps, and the section `examples` of a taxonomy file is written: the
    rest of the file stays as it is, former examples go. An image is of a category when its vector is near enough to the mean of the
    category's pictures. The table says how many of them would have been found without having been shown (`recalled`), and how many
    of the other pictures are taken wrongly; twenty pictures of none of the categories, by --against, make that much truer.

    \b
    Examples:
      imagesweep teach examples --into own.yaml
      imagesweep teach examples --into own.yaml --against everyday
      IMAGESWEEP_TAXONOMY=./own.yaml imagesweep backfill --stale      give images their categories; costs no call
    """  # noqa: D301
    with answering(as_json=as_json):
        if into.suffix not in (".yaml", ".yml"):
            raise Misconfigured("teach", str(into), "a taxonomy file ends in .yaml or .yml")
        text = _text(into)
        without(text, str(into))
        if not os.access(into.resolve().parent, os.W_OK):
            raise Misconfigured("teach", str(into), "nothing can be written there", hint="Name another file by --into.")
        taught = asyncio.run(_teach(load(), folder, against, pay=pay))
        for name, reason in taught.skipped:
            err.print(f"imagesweep: left out {printable(name)}: {printable(reason)}")
        _write(into, inscribed(text, str(into), embedder=taught.embedder, lessons=taught.lessons))
        if as_json:
            print_json(_shown(taught, into))
        else:
            _print(taught, into)


def _shown(taught: Teaching, into: Path) -> dict[str, object]:
    categories = [
        {
            "category": one.taught.category,
            "pictures": one.pictures,
            "recalled": one.recalled,
            "others": one.others,
            "wrong": one.wrong,
            "threshold": one.taught.threshold,
        }
        for one in taught.lessons
    ]
    skipped = [{"name": name, "reason": reason} for name, reason in taught.skipped]
    return {"file": str(into), "embedder": taught.embedder, "calls": taught.calls, "categories": categories, "skipped": skipped}


async def _teach(settings: Settings, folder: Path, against: Path | None, *, pay: bool) -> Teaching:
    async with embedders.teacher(settings) as embedder:
        if embedder.price and not pay:
            cause = f"{embedder.asked} costs {embedder.price:g} a picture"
            raise Misconfigured("teach", str(folder), cause, hint="Say --pay, or set IMAGESWEEP_EMBEDDER to a local model.")
        folders: dict[str, list[Path]] = {}
        for path in _folders(folder):
            folders.setdefault(_category(path), []).extend(_files(path))
        return await teach(embedder=embedder, folders=folders, against=_files(against) if against else ())


def _category(path: Path) -> str:
    name = unicodedata.normalize("NFC", path.name)
    if not name.isprintable() or name != name.strip() or len(name) > LONGEST:
        raise Misconfigured("teach", printable(str(path)), "its name cannot be that of a category", hint="Rename the folder.")
    return name


def _folders(folder: Path) -> list[Path]:
    found = [path for path in _listed(folder) if path.is_dir()]
    if not found:
        raise Misconfigured("teach", str(folder), "there is no folder in it", hint="Each category is a folder of pictures.")
    return found


def _files(folder: Path) -> list[Path]:
    return [path for path in _listed(folder) if not path.is_dir()]


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        hint = "Give this user the right to read it."
        raise Misconfigured("teach", str(folder), error.strerror or str(error), hint=hint) from error


def _text(into: Path) -> str:
    """Return what the file says, or the beginning of a new one."""
    try:
        return into.read_bytes().decode()
    except FileNotFoundError:
        return new(into.stem)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise Misconfigured("teach", str(into), cause, hint="Name another file by --into.") from error


def _write(into: Path, text: str) -> None:
    """Put a new text in the place of the old one, whole or not at all."""
    target = into.resolve()
    made: Path | None = None
    try:
        with tempfile.NamedTemporaryFile("wb", dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            made = Path(file.name)
            file.write(text.encode())
        made.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
        made.replace(target)
    except OSError as error:
        raise StorageFailed("teach", str(into), error.strerror or str(error), hint="The file is as it was.") from error
    finally:
        if made is not None:
            made.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _print(taught: Teaching, into: Path) -> None:
    numbers = ("pictures", "recalled", "others", "wrongly taken", "threshold")
    rows = table("category", *numbers, right=numbers)
    for one in taught.lessons:
        figures = (one.pictures, one.recalled, one.others, one.wrong, f"{one.taught.threshold:.4f}")
        rows.add_row(printable(one.taught.category), *map(str, figures))
    out.print(rows)
    out.print(f"Written to {printable(str(into))}, for vectors by {printable(taught.embedder)}.")
    out.print(f"Set IMAGESWEEP_TAXONOMY={_setting(into)}, then run: imagesweep backfill --stale")


def _setting(into: Path) -> str:
    return printable(str(into) if "/" in str(into) else f"./{into}")
