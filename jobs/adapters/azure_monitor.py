"""Azure Monitor: where spans, figures and logs go when its connection string is set."""

from __future__ import annotations

from jobs.telemetry import SCOPE, OpenTelemetry, use


def export(*, configured: bool) -> None:
    """Have spans, figures and logs sent to Azure Monitor; `configured` says that the process does so already.

    The connection string is read from APPLICATIONINSIGHTS_CONNECTION_STRING.
    """
    if not configured:
        from azure.monitor.opentelemetry import configure_azure_monitor  # noqa: PLC0415 a second that a configured process does not need

        # The SDKs' own spans are left out: one for each request would cost more to keep than the images.
        configure_azure_monitor(logger_name=SCOPE, instrumentation_options={"azure_sdk": {"enabled": False}})
    use(OpenTelemetry())
