"""Azurite, the emulator of Azure Storage, started once for a test session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.certificate import Certificate
from tests.servers.node import free_port, installed, started

ACCOUNT = "devstoreaccount1"
# The emulator's well-known account; its key is published and guards nothing.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextmanager
def azurite(folder: Path, *, certificate: Certificate | None = None) -> Iterator[str]:
    """Run the blob service with its data in memory until the body is done; yield its endpoint, the account included.

    With a certificate it speaks TLS, and takes tokens of any identity.
    """
    port = free_port()
    # The SDK's version of the protocol is newer than the emulator's; what it does not know it passes over.
    command = [
        "node", str(installed() / "azurite/dist/src/blob/main.js"), "--inMemoryPersistence", "--silent", "--disableTelemetry",
        "--skipApiVersionCheck", "--blobHost", "127.0.0.1", "--blobPort", str(port),
    ]  # fmt: skip
    if certificate is not None:
        command += ["--oauth", "basic", "--cert", str(certificate.chain), "--key", str(certificate.key)]
    with started(command, port, log=folder / "azurite.log"):
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}/{ACCOUNT}"
