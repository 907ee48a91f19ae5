"""The example of a settings file is one: every name in it exists, and each of its profiles can be loaded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobs.settings import Settings, load

EXAMPLE = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8")


def test_every_name_exists() -> None:
    named = set(re.findall(r"IMAGESWEEP_[A-Z_]+", EXAMPLE))
    assert named <= {f"IMAGESWEEP_{name.upper()}" for name in Settings.model_fields}
    assert len(named) > 10


@pytest.mark.parametrize(("azure", "source"), [(False, "folder:samples"), (True, "azure-blob:https://")])
def test_each_profile_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, azure: bool, source: str) -> None:  # noqa: FBT001 an example's
    text = re.sub(r"(?m)^# (?=IMAGESWEEP_)", "", EXAMPLE) if azure else EXAMPLE
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"IMAGESWEEP_{name.upper()}", raising=False)
    settings = load()
    assert settings.source.startswith(source)
    kinds = {value.partition(":")[0] for value in (settings.classifier, settings.store, settings.index)}
    assert kinds == ({"azure-vision", "cosmos", "azure-search"} if azure else {"onnx", "sqlite", "tantivy"})
