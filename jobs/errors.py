"""Errors, named by what the caller does next.

Every error carries the operation, the thing it was done to, the cause, and a hint that an operator can act on.
"""

from __future__ import annotations

from datetime import datetime


class SweepError(Exception):
    """Anything foreseeable that went wrong: `operation` on `key`, because of `cause`; `hint` says how to mend it."""

    def __init__(self, operation: str, key: str, cause: str, *, hint: str = "") -> None:
        super().__init__(operation, key, cause)
        self.operation = operation
        self.key = key
        self.cause = cause
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.operation} {self.key}: {self.cause}" if self.key else f"{self.operation}: {self.cause}"
        return f"{text}. {self.hint}" if self.hint else text


class Transient(SweepError):
    """A passing fault: try again, no sooner than `retry_after` seconds when the service said so.

    `unknown` is true when the effect may have happened all the same (a time-out, a reset): a call that may have been billed.
    """

    def __init__(
        self,
        operation: str,
        key: str,
        cause: str,
        *,
        hint: str = "",
        retry_after: float | None = None,
        throttled: bool = False,
        unknown: bool = False,
        failure_class: str = "transient",
    ) -> None:
        super().__init__(operation, key, cause, hint=hint)
        self.retry_after = retry_after
        self.throttled = throttled
        self.unknown = unknown
        self.failure_class = failure_class


class Rejected(SweepError):
    """The image itself is at fault: settle it as dead, with `failure_class` and the cause as reason."""

    def __init__(self, operation: str, key: str, cause: str, *, failure_class: str, hint: str = "") -> None:
        super().__init__(operation, key, cause, hint=hint)
        self.failure_class = failure_class


class Changed(SweepError):
    """The blob is no longer the version that was asked for: defer it, the new version is due now."""


class Gone(SweepError):
    """The blob is not there any more."""


class Misconfigured(SweepError):
    """A setting, a right or a schema is wrong: stop the run at once; nothing is the image's fault. Exit status 2."""


class Refused(SweepError):
    """A service will not serve any call (quota spent, model retired, forbidden): stop the run at once. Exit status 1."""


class Halted(SweepError):
    """The run admits no more work (budget, deadline, Ctrl-C): give the blob back as it was."""


class Spent(Halted):
    """A budget is spent until `goes_on`: stop the run, which the next one carries on then. Exit status 75."""

    def __init__(self, operation: str, key: str, cause: str, *, goes_on: datetime, hint: str = "") -> None:
        super().__init__(operation, key, cause, hint=hint)
        self.goes_on = goes_on


class Conflict(SweepError):
    """A conditional write lost: the document is not the version that it was read at."""


class LeaseHeld(SweepError):
    """Another process sweeps this source: nothing is wrong, come back later. Exit status 75."""


class LeaseLost(SweepError):
    """This process no longer owns the source: stop, and change nothing more. Exit status 75."""


class StorageFailed(SweepError):
    """The store or the index cannot be written or read (full disk, corrupt file): stop; what was stored stays. Exit status 1."""
