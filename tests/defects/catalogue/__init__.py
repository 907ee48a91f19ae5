"""The defects, by the promise that they break."""

from __future__ import annotations

from tests.defects.catalogue.in_agreement import IN_AGREEMENT
from tests.defects.catalogue.nothing_lost import NOTHING_LOST
from tests.defects.catalogue.one_sweep import ONE_SWEEP
from tests.defects.catalogue.paid_once import PAID_ONCE

DEFECTS = (*NOTHING_LOST, *PAID_ONCE, *IN_AGREEMENT, *ONE_SWEEP)
