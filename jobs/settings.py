"""The settings of a deployment: `IMAGESWEEP_*` in the environment, or in a file `.env` for trials."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobs.errors import Misconfigured


def _seconds(value: object) -> object:
    """Read a bare number as seconds; pydantic itself takes ISO 8601 only."""
    return float(value) if isinstance(value, str) and value.replace(".", "", 1).isdigit() else value


Span = Annotated[timedelta, BeforeValidator(_seconds)]


class Settings(BaseSettings):
    """Everything that can be set. Lists are separated by commas; each field says what it means in its description."""

    model_config = SettingsConfigDict(env_prefix="IMAGESWEEP_", env_file=".env", extra="ignore", frozen=True)

    source: str = Field("folder:samples", description="Where the images are: KIND:LOCATION, several separated by commas.")
    classifier: str = Field(
        "onnx:efficientnet-lite0",
        description="What looks at them: KIND:LOCATION; AI Vision may have several resources, separated by commas.",
    )
    store: str = Field("sqlite:.imagesweep/results.db", description="Where results are kept: KIND:LOCATION.")
    index: str = Field("tantivy:.imagesweep/index", description="Where they are searched: KIND:LOCATION.")
    embedder: str = Field(
        "", description="What embeds them, for likeness: KIND:LOCATION, or `none`; empty takes what the classifier has."
    )
    vision_features: str = Field(
        "tags,caption",
        description="What AI Vision is asked for, each paid: tags, caption, denseCaptions, objects, people, read, smartCrops.",
    )
    vision_language: str = Field("en", description="Language of tags and captions, by its code.")
    vision_model: str = Field(
        "latest", description="Model version of AI Vision, `latest` or a date; pin it where runs are compared."
    )
    vision_gender_neutral: bool = Field(False, description="Let captions say `person` and `child`.")
    vision_send: Literal["bytes", "url"] = Field(
        "bytes", description="Send AI Vision the bytes, or a signed link that it reads for itself."
    )
    vision_fit: bool = Field(
        False, description="Scale down or convert here what AI Vision would not take; else it is a dead letter."
    )
    vision_colours: bool = Field(
        True,
        description="Decode what is sent to AI Vision here as well, to name its colours and to find damage before it is paid for.",
    )
    prices: Path | None = Field(None, description="File of your own prices, in the form of jobs/prices.toml.")
    blob_key: SecretStr | None = Field(None, description="Key of the storage account, for emulators and trials; none: identity.")
    vision_key: SecretStr | None = Field(None, description="Key of the AI Vision resource, for trials; none: identity.")
    cosmos_key: SecretStr | None = Field(
        None, description="Key of the Cosmos DB account, for emulators and trials; none: identity."
    )
    cosmos_max_ru: int | None = Field(
        None,
        ge=1000,
        description="Ceiling in RU/s of a database that `imagesweep index create` makes, autoscaled; none: the account's own.",
    )
    search_key: SecretStr | None = Field(None, description="Key of the AI Search service, for trials; none: identity.")
    search_semantic: bool = Field(
        False, description="Rank the first 50 hits of AI Search by meaning; the service counts and charges such queries."
    )
    include: str = Field("", description="Globs of names to take, separated by commas; empty takes all.")
    exclude: str = Field("", description="Globs of names to leave, separated by commas; `thumbs/**` is not even entered.")
    follow_folders: bool = Field(False, description="Follow links to folders.")
    blob_metadata: bool = Field(False, description="Take the metadata of blobs as properties; listings grow by them.")
    blob_tags: bool = Field(False, description="Take the index tags of blobs as properties; needs the right to read tags.")
    listing_shards: int = Field(1, ge=1, le=64, description="Ranges of a container's names that are listed at once.")
    page: int = Field(1000, ge=1, le=5000, description="Names in a page, the unit of claiming, publishing and checkpoints.")
    pages_in_flight: int = Field(2, ge=1, le=32, description="Pages worked on at once.")
    concurrency: int = Field(48, ge=1, le=1024, description="Images in flight at once.")
    write_buffer: int = Field(
        64, ge=1, le=1000, description="Results that may wait to be stored; a crash repeats at most these and those in flight."
    )
    in_flight_mb: int = Field(64, ge=1, description="Encoded megabytes in memory at once.")
    max_mb: int = Field(64, ge=1, description="Largest encoded image, in megabytes; larger ones are dead letters.")
    max_megapixels: int = Field(
        40, ge=1, description="Largest decoded image, in megapixels; larger ones are refused by their header."
    )
    workers: int = Field(0, ge=0, description="Processes that decode and classify; 0 is one for each core.")
    decode_seconds: float = Field(
        20.0, gt=0, description="Time for a batch of eight images in a worker; what hangs longer is dead."
    )
    day_calls: int | None = Field(
        None, ge=1, description="Budget of classifier calls a day (UTC), of all runs together; none: no bound."
    )
    day_cost: float | None = Field(
        None, gt=0, description="Budget of money a day (UTC), in the currency of the prices; none: no bound."
    )
    month_calls: int | None = Field(
        None, ge=1, description="Budget of classifier calls a month (UTC), of all runs together; none: no bound."
    )
    month_cost: float | None = Field(
        None, gt=0, description="Budget of money a month (UTC), in the currency of the prices; none: no bound."
    )
    window: str = Field("", description="Hours in which runs may work, as in 22:00-06:00; empty: at any time.")
    time_zone: str = Field("UTC", description="Time zone of the window and of --finish-by, as in Europe/Berlin.")
    cascade: str = Field(
        "",
        description="What is asked before the classifier: KIND:LOCATION of a free one; the classifier answers where it is unsure.",
    )
    cascade_confidence: float = Field(
        0.8, ge=0, le=1, description="Confidence of its best tag from which the first one of a cascade is believed."
    )
    cascade_labels: str = Field(
        "", description="Tags of the first one of a cascade for which the classifier is always asked, separated by commas."
    )
    calls_per_second: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Ceiling of calls a second, shared by all processes over one store."
    )
    call_seconds: float = Field(60.0, gt=0, description="Time for one classifier call.")
    attempts: int = Field(5, ge=1, description="Attempts at a blob over several sweeps before it is a dead letter.")
    lookback: Span = Field(timedelta(minutes=15), description="Overlap below the watermark, in seconds or as ISO 8601 (PT15M).")
    lease_seconds: float = Field(180.0, gt=0, description="Length of the lease of a source.")
    retention: Span | None = Field(
        None,
        description="Age from which `audit --repair` retires results, in seconds or as P365D; none: never.",
    )
    taxonomy: str = Field(
        "", description="Categories of your own: the name of a ready taxonomy or the path of a file; none: no categories."
    )
    name_pattern: str = Field("", description="Regular expression; what its named groups find in a name become properties.")
    slice_seconds: float = Field(
        480.0, gt=0, description="Time for one call of the function app; what is in flight at its end comes on top."
    )
    sweep_calls: int | None = Field(
        None, ge=1, description="Budget of classifier calls for one sweep of the function app, in all its slices; none: no bound."
    )
    http_auth: Literal["key", "entra"] = Field(
        "key", description="Who may call the function app: holders of its key, or those that App Service Authentication let in."
    )
    gallery_key: SecretStr | None = Field(
        None, min_length=16, description="Key that whoever changes something in the gallery has to know; none: read only."
    )
    gallery_cache_mb: int = Field(500, ge=1, description="Megabytes of thumbnails that the gallery keeps.")
    guard_calls: int = Field(1000, ge=0, description="Paid calls ahead from which a sweep asks for --yes or --max-calls.")


def load() -> Settings:
    """Read the settings. Raises Misconfigured naming the first wrong one."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"IMAGESWEEP_{'_'.join(map(str, first['loc'])).upper()}"
        raise Misconfigured(
            "read", name, f"{first['input']!r}: {first['msg']}", hint="docs/operations.md lists the settings."
        ) from error


def several(text: str) -> tuple[str, ...]:
    """Split a list at its commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
