"""Where stand-ins run: an ASGI app on 127.0.0.1, in a thread of this process, or as a program of its own."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import uvicorn

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HOST = "127.0.0.1"
COME_UP = 30.0
"""Seconds that a stand-in may take until it answers."""


@contextmanager
def served(app: App) -> Iterator[str]:
    """Serve an app in a thread of this process until the body is done; yield its address, without a slash at the end."""
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:  # named, or asyncio leaves Nagle on: 40 ms for each answer
        listening.bind((HOST, 0))
        listening.listen(100)
        server = uvicorn.Server(_config(app))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            _until(lambda: server.started or not thread.is_alive(), "the stand-in did not start")
            yield f"http://{HOST}:{listening.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True
            thread.join(10)


@contextmanager
def spawned(module: str, *options: str) -> Iterator[str]:
    """Run `python -m MODULE PORT OPTIONS` until the body is done, so that its time is not ours; yield its address."""
    with socket.create_server((HOST, 0)) as probe:
        port = probe.getsockname()[1]
    with subprocess.Popen([sys.executable, "-m", module, str(port), *options]) as program:
        try:
            _until(lambda: answers(port) or program.poll() is not None, f"{module} did not start")
            if program.poll() is not None:
                raise RuntimeError(f"{module} ended with status {program.returncode}")
            yield f"http://{HOST}:{port}"
        finally:
            program.terminate()
            try:
                program.wait(10)
            except subprocess.TimeoutExpired:
                program.kill()


def alone(app: App, port: int) -> None:
    """Serve an app at a port until Ctrl-C or SIGTERM: what a stand-in's `__main__` does."""
    uvicorn.Server(_config(app, port=port)).run()


def answers(port: int) -> bool:
    """Say whether something accepts connections at a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def reset(send: Send) -> None:
    """Break the connection of the request that `send` answers, as a crashed server does; `send` is the server's own."""
    transport = send.__self__.transport  # type: ignore[attr-defined]  # the request's cycle in uvicorn; ASGI has no word for it
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def cut(send: Send) -> None:
    """Close the connection in the middle of an answer, after what was sent of it."""
    send.__self__.transport.close()  # type: ignore[attr-defined]  # as in `reset`


def _config(app: App, *, port: int = 0) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=HOST,
        port=port,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_level="critical",
        timeout_keep_alive=60,
        timeout_graceful_shutdown=2,
    )


def _until(ready: Callable[[], bool], complaint: str) -> None:
    end = time.monotonic() + COME_UP
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(complaint)
        time.sleep(0.01)
