"""Make `samples/` from a folder of photos with a LICENSES.csv: `python tools/make_samples.py PHOTOS [SAMPLES]`.

Copies a choice of photos, converts some so that formats vary, and makes `odd/`: files that a sweep meets in real archives.
The same photos and the same Pillow give the same bytes.
"""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

CHOSEN = {
    "animals": "cat chameleon chicken cow dog duck giraffe horse jaguar kangaroo koala lemur moose owl panda pig polar_bear "
    "scarlet_macaw sheep crocodile",
    "fishes": "fish1 fish4 fish5 fish8 fish9 fish12 fish15 fish17 fish19 fish22 fish25 fish26",
    "monuments": "arc-de-triomphe arles-amphitheater bayterek berlin-cathedral brandenburg-gate castillode-san-marcos "
    "castle-clinton chateaude-chambord chateaude-chenonceau citede-carcassonne colosseum eiffel-tower fort-sumter "
    "golden-temple great-pyramid great-wall leaning-tower-of-pisa mont-st-michel mount-rushmore neuschwanstein-castle "
    "opera-house parthenon petra pontdu-gard reims-cathedral schwerin-palace statue-of-liberty taj-mahal zimni-palace",
    "others": "baseball bucket bulb chair cup igloo knife pencil pillow spoons volleyball",
    "renewable": "dam1 dam2 dam3 dam4 dam5 geothermal solar1 solar4 solar7 windmill windmill1 windmill5 windmill9 windmill12",
    "tools": "hammer1 hammer2 hammer3 hammer4 hammer6 hammer8 measuring-tape1 multimeter2 nail-cutter plier1 scissors1 "
    "scissors2 scissors3 scissors4 screw-driver1 sickle tweezer wrench1",
}
CONVERTED = {
    "animals/cow": "JPEG",
    "animals/panda": "JPEG",
    "animals/polar_bear": "JPEG",
    "animals/sheep": "JPEG",
    "fishes/fish9": "JPEG",
    "fishes/fish17": "PNG",
    "fishes/fish22": "AVIF",
    "monuments/arc-de-triomphe": "PNG",
    "monuments/colosseum": "JPEG",
    "monuments/eiffel-tower": "JPEG",
    "monuments/fort-sumter": "AVIF",
    "monuments/golden-temple": "JPEG",
    "monuments/petra": "JPEG",
    "monuments/taj-mahal": "PNG",
    "others/baseball": "JPEG",
    "others/cup": "PNG",
    "others/volleyball": "JPEG",
    "renewable/dam2": "JPEG",
    "renewable/solar4": "JPEG",
    "renewable/windmill5": "PNG",
    "tools/hammer4": "JPEG",
    "tools/hammer6": "PNG",
    "tools/scissors3": "JPEG",
    "tools/sickle": "JPEG",
}
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "AVIF": ".avif"}
OPTIONS: dict[str, dict[str, object]] = {"JPEG": {"quality": 82}, "PNG": {"optimize": True}, "AVIF": {"quality": 60}}
README = """An ordinary text file. A sweep counts it as skipped: it is not an image by its name nor by its first bytes.

Made by tools/make_samples.py, what a sweep should make of it in brackets:

animated.gif       two frames [classified by the first]
bitmap.bmp         [classified]
duplicate.webp     the very bytes of animals/dog.webp [reused]
empty.jpg          no bytes [dead]
large.jpg          4,000 x 3,000 pixels [classified]
lossless.webp      [classified]
near-duplicate.jpg animals/dog.webp, cropped a little and saved again [classified; found by likeness]
rotated.jpg        lies on its side, with EXIF orientation, camera, time and place [classified upright]
scan.tiff          [classified]
small.png          40 x 40 pixels, below the local model's least side [dead]
text.jpg           text under the name of an image [dead]
transparent.png    has an alpha channel [classified]
truncated.jpg      the first half of a JPEG [dead]
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of LICENSES.csv."""

    file: str
    licence: str
    author: str
    source: str
    derived_from: str = ""


def read_rows(photos: Path) -> dict[str, Row]:
    """Return who made each photo, by its file."""
    with (photos / "LICENSES.csv").open(encoding="utf-8", newline="") as file:
        return {row["file"]: Row(**row) for row in csv.DictReader(file)}


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return the image as a file of this format."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(path: Path) -> Image.Image:
    """Return a photo, decoded, in RGB."""
    with Image.open(path) as image:
        return image.convert("RGB")


def copy_photos(photos: Path, samples: Path, rows: dict[str, Row]) -> Iterable[Row]:
    """Copy or convert the chosen photos; return their rows."""
    for folder, names in CHOSEN.items():
        (samples / folder).mkdir(parents=True)
        for name in sorted(names.split()):
            origin = f"{folder}/{name}.webp"
            row = rows[origin]
            kind = CONVERTED.get(f"{folder}/{name}")
            if kind is None:
                shutil.copyfile(photos / origin, samples / origin)
                yield row
                continue
            file = f"{folder}/{name}{SUFFIXES[kind]}"
            (samples / file).write_bytes(encoded(opened(photos / origin), kind, **OPTIONS[kind]))
            yield Row(file, row.licence, row.author, row.source, origin)


def rotated(photo: Image.Image) -> bytes:
    """Return a JPEG as a camera held upright writes it: pixels on their side, and EXIF that says so, and when and where."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "imagesweep"
    exif[0x0110] = "Sample Camera 1"
    taken = exif.get_ifd(0x8769)
    taken[0x9003] = "2019:06:21 14:30:05"
    taken[0x9011] = "+02:00"
    place = exif.get_ifd(0x8825)
    place.update({1: "N", 2: (47.0, 33.0, 27.0), 3: "E", 4: (10.0, 44.0, 58.0)})
    return encoded(photo.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=82, exif=exif)


def transparent(photo: Image.Image) -> bytes:
    """Return a PNG that fades out to its left side."""
    fade = Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90).resize(photo.size)
    image = photo.copy()
    image.putalpha(fade)
    return encoded(image, "PNG", optimize=True)


def near(photo: Image.Image) -> bytes:
    """Return the photo with some pixels cut off each side, saved at a low quality."""
    width, height = photo.size
    return encoded(photo.crop((9, 6, width - 7, height - 5)), "JPEG", quality=70)


def animated(first: Image.Image, second: Image.Image) -> bytes:
    """Return a GIF of two frames."""
    frames = [image.resize((240, 180)).quantize(64) for image in (first, second)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=500, loop=0)


def odd_files(photos: Path) -> dict[str, tuple[bytes, str]]:
    """Return the files of `odd/`, each with the photo that it is made from, or nothing."""
    dog, owl, castle = "animals/dog.webp", "animals/owl.webp", "monuments/neuschwanstein-castle.webp"
    chambord, duck, macaw = "monuments/chateaude-chambord.webp", "animals/duck.webp", "animals/scarlet_macaw.webp"
    dam, hammer, windmill = "renewable/dam5.webp", "tools/hammer3.webp", "renewable/windmill1.webp"
    photo = {name: opened(photos / name) for name in (dog, owl, castle, chambord, duck, macaw, dam, hammer, windmill)}
    whole = encoded(photo[dam], "JPEG", quality=82)
    return {
        "animated.gif": (animated(photo[duck], photo[macaw]), f"{duck} {macaw}"),
        "bitmap.bmp": (encoded(photo[hammer].resize((160, 160)), "BMP"), hammer),
        "duplicate.webp": ((photos / dog).read_bytes(), dog),
        "empty.jpg": (b"", ""),
        "large.jpg": (encoded(photo[chambord].resize((4000, 3000)), "JPEG", quality=60), chambord),
        "lossless.webp": (encoded(photo[owl].resize((200, 150)), "WEBP", lossless=True), owl),
        "near-duplicate.jpg": (near(photo[dog]), dog),
        "rotated.jpg": (rotated(photo[castle]), castle),
        "scan.tiff": (encoded(photo[windmill].convert("L"), "TIFF", compression="tiff_deflate"), windmill),
        "small.png": (encoded(photo[macaw].resize((40, 40)), "PNG"), macaw),
        "text.jpg": (b"This is a text, whatever its name says.\n", ""),
        "transparent.png": (transparent(photo[macaw].resize((320, 248))), macaw),
        "truncated.jpg": (whole[: len(whole) // 2], dam),
        "README.txt": (README.encode(), ""),
    }


def make_odd(photos: Path, samples: Path, rows: dict[str, Row]) -> Iterable[Row]:
    """Write `odd/`; return the rows of what is there."""
    (samples / "odd").mkdir()
    for name, (data, origin) in odd_files(photos).items():
        (samples / "odd" / name).write_bytes(data)
        if origin:
            made_of = [rows[photo] for photo in origin.split()]
            licence, author, source = (
                "; ".join(dict.fromkeys(parts)) for parts in zip(*((r.licence, r.author, r.source) for r in made_of), strict=True)
            )
            yield Row(f"odd/{name}", licence, author, source, origin)
        else:
            yield Row(f"odd/{name}", "CC0-1.0", "imagesweep", "tools/make_samples.py")


def main(photos: Path, samples: Path) -> None:
    """Make the samples anew."""
    if samples.exists():
        shutil.rmtree(samples)
    rows = read_rows(photos)
    listed = [*copy_photos(photos, samples, rows), *make_odd(photos, samples, rows)]
    with (samples / "LICENSES.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "licence", "author", "source", "derived_from"])
        writer.writerows((row.file, row.licence, row.author, row.source, row.derived_from) for row in listed)
    print(f"{len(listed)} files in {samples}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "samples"))
