"""Observe: where logs, spans and figures go: to Azure Monitor when its connection string is set, else into lines that say all."""

from __future__ import annotations

import json
import logging
import os

from pydantic_core import to_jsonable_python

log = logging.getLogger("imagesweep")

CONNECTION = "APPLICATIONINSIGHTS_CONNECTION_STRING"
WORKER_EXPORTS = "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY"
"""Where this is true, the worker of Azure Functions has set Azure Monitor up before the app is imported."""
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Lines(logging.Filter):
    """Puts what an event is about behind its name, as JSON: hosts that keep only the text of a log keep all of it then."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record's text; every record passes."""
        about = {name: value for name, value in vars(record).items() if name not in _PLAIN}
        if about and not getattr(record, "told", False):
            record.msg = f"{record.getMessage()} {json.dumps(to_jsonable_python(about, fallback=str), ensure_ascii=False)}"
            record.args = ()
            record.told = True
        return True


def begin() -> None:
    """Set up where logs, spans and figures go, once for a process."""
    log.setLevel(logging.INFO)
    if os.environ.get(CONNECTION):
        from jobs.adapters import azure_monitor  # noqa: PLC0415 a second of imports that only Azure Monitor needs

        azure_monitor.export(configured=os.environ.get(WORKER_EXPORTS, "").lower() == "true")
    elif not any(isinstance(one, Lines) for one in log.filters):
        log.addFilter(Lines())


def woken(name: str, *, past_due: bool) -> None:
    """Log that a timer has called."""
    log.info("timer", extra={"key": name, "past_due": past_due})
