"""What the fault tests have in common."""

from __future__ import annotations

import pytest

from search.azure_index import AzureSearchIndex
from tests.faults.world import QUICK


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each request to store and index a second and not twenty or sixty, and try it again at once."""
    monkeypatch.setattr("jobs.adapters.cosmos_account.ANSWER_SECONDS", 1)
    monkeypatch.setattr("search.azure_index.service.SECONDS", 1.0)
    monkeypatch.setattr("search.azure_index.service.POLICY", QUICK)
    defaults = {**(AzureSearchIndex.__init__.__kwdefaults__ or {}), "policy": QUICK}
    monkeypatch.setattr(AzureSearchIndex.__init__, "__kwdefaults__", defaults)
