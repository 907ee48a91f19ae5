"""The servers of npm that tests run against: installed once from the lock, started on a free port of this machine."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "imagesweep-test-servers"


class NodeMissing(Exception):
    """Node and npm are not on this machine."""


class ServerFailed(Exception):
    """A server of npm could not be installed, or did not come up."""


def installed(where: Path = HERE) -> Path:
    """Return the folder of the installed packages, installing them from the lock in a folder where that was not done yet.

    Raises NodeMissing, or ServerFailed when the packages cannot be had.
    """
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise NodeMissing("Node and npm are missing: install Node 20 or later")
    lock = (where / "package-lock.json").read_bytes()
    folder = CACHE / hashlib.sha256(lock).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        done = folder / "done"
        if not done.exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(where / name, folder / name)
            command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
            sys.stderr.write("Installing the servers of tests/servers/package-lock.json, once\n")
            if subprocess.run(command, cwd=folder, check=False, stdout=sys.stderr).returncode:
                raise ServerFailed(f"npm could not install the packages of {HERE.name}/package-lock.json; it says why above")
            done.touch()
    return folder / "node_modules"


def free_port() -> int:
    """Return a port of this machine that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def started(command: Sequence[str], port: int, *, log: Path, seconds: float = 30.0) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the body is done; it is ready when it accepts connections at `port`. What it says goes to `log`.

    Raises ServerFailed when it does not come up in so many seconds.
    """
    with log.open("wb") as sink, subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT) as server:
        try:
            _await_port(server, port, log=log, seconds=seconds)
            yield server
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


def _await_port(server: subprocess.Popen[bytes], port: int, *, log: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise ServerFailed(f"{server.args!r} did not come up: {log.read_text(errors='replace')[-2000:]}")
