"""What AI Vision checks before it works, written from its contract: API 2023-10-01 of Image Analysis, 2024-02-01 of retrieval."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

FEATURES = ("tags", "caption", "denseCaptions", "objects", "read", "smartCrops", "people")
CAPTIONS = frozenset({"caption", "denseCaptions"})
ANALYZE_VERSIONS = frozenset({"2023-10-01", "2024-02-01"})
RETRIEVAL_VERSIONS = frozenset({"2024-02-01"})
EMBEDDING_MODELS = frozenset({"2022-04-11", "2023-04-15"})
MODEL_VERSION = re.compile(r"^(latest|\d{4}-\d{2}-\d{2})(-preview)?$")
LANGUAGES = frozenset(re.findall(r"\w+", "en ar cs da de es fi fr he hi hu id it ja ko nb nl pl pt ru sv th tr zh"))
FORMATS = frozenset({"JPEG", "PNG", "GIF", "BMP", "WEBP", "ICO", "TIFF", "MPO"})
MAX_BYTES = 20_971_520
MAX_SIDE = 16_000

WRONG_KEY = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active "
    "subscription and use a correct regional API endpoint for your resource."
)


class Refusal(Exception):
    """An answer other than 200; `page` is a body in HTML, as gateways answer."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        inner: str = "",
        headers: Mapping[str, str] | None = None,
        page: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.inner = inner
        self.page = page
        self.headers = {"x-ms-error-code": code} | dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.inner:
            error["innererror"] = {"code": self.inner, "message": self.message}
        return {"error": error}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that keeps the rules."""

    features: tuple[str, ...]
    ratios: tuple[float, ...]
    neutral: bool


def invalid(message: str, inner: str = "") -> Refusal:
    return Refusal(400, "InvalidRequest", message, inner=inner)


def check_version(query: Mapping[str, str], versions: Collection[str]) -> None:
    if query.get("api-version", "") not in versions:
        raise Refusal(404, "404", "Resource not found")


def check_names(pairs: Sequence[tuple[str, str]], known: Iterable[str]) -> None:
    """Refuse what the real service may let pass: a parameter that it does not know, or one given twice."""
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)) or not set(names) <= set(known):
        raise invalid(f"The query parameters {names} are not those of this operation.", "BadArgument")


def check_question(query: Mapping[str, str], *, captions: bool) -> Asked:
    features = tuple(query.get("features", "").split(",")) if query.get("features") else ()
    if not features:
        raise invalid("Either 'features' or 'model-name' needs to be specified in the query parameter.", "BadArgument")
    for feature in features:
        if feature not in FEATURES:
            raise invalid(f"The feature '{feature}' is not supported.", "NotSupportedVisualFeature")
    _check_language(query.get("language", "en"), features)
    if not MODEL_VERSION.match(query.get("model-version", "latest")):
        raise invalid(f"The model-version '{query['model-version']}' is not valid.", "BadArgument")
    neutral = query.get("gender-neutral-caption", "false")
    if neutral not in ("true", "false"):
        raise invalid("The value of gender-neutral-caption is not a boolean.", "BadArgument")
    if not captions and CAPTIONS & set(features):
        raise invalid("The feature 'Caption' is not supported in this region.")
    return Asked(features, _ratios(query), neutral == "true")


def _check_language(language: str, features: Sequence[str]) -> None:
    if language not in LANGUAGES or (language != "en" and set(features) - {"tags"}):
        raise invalid(f"The language '{language}' is not supported by the features.", "NotSupportedLanguage")


def _ratios(query: Mapping[str, str]) -> tuple[float, ...]:
    given = query.get("smartcrops-aspect-ratios")
    if given is None:
        return ()
    try:
        ratios = tuple(float(ratio) for ratio in given.split(","))
    except ValueError as error:
        raise invalid("The aspect ratio is not a number.", "BadArgument") from error
    if not all(0.75 <= ratio <= 1.8 for ratio in ratios):
        raise invalid("The aspect ratio must be between 0.75 and 1.8.", "BadArgument")
    return ratios


def check_picture(data: bytes, *, least: int) -> tuple[int, int]:
    """Return width and height in pixels as shown; each side must be greater than `least`."""
    if not 0 < len(data) <= MAX_BYTES:
        raise invalid(f"The image size is not allowed to be zero or larger than {MAX_BYTES} bytes.", "InvalidImageSize")
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        with Image.open(io.BytesIO(data)) as image:
            kind, (width, height) = image.format, image.size
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except (OSError, ValueError, SyntaxError) as error:
        raise invalid("Image format is not valid.", "InvalidImageFormat") from error
    if kind not in FORMATS:
        raise invalid("Image format is not valid.", "InvalidImageFormat")
    if min(width, height) <= least:
        raise invalid(f"The image dimension is too small: each side must be greater than {least} pixels.")
    if max(width, height) >= MAX_SIDE:
        raise invalid(f"The image dimension is too large: each side must be less than {MAX_SIDE} pixels.")
    return (height, width) if turned else (width, height)
