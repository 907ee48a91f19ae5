"""A host in a process of its own, to be killed: `python -m tests.functions.night [fire]` fires the timer if asked, then delivers
messages of the queue in the environment until there are none, visible or not, and says how the first round ended.
"""

from __future__ import annotations

import asyncio
import os
import sys

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueMessage, TextBase64DecodePolicy
from azure.storage.queue.aio import QueueClient

from jobs.app.desk import CONNECTION, QUEUE, desk
from tests.functions.host import Failed, Host

VISIBILITY = 8
"""Seconds until a message is delivered again whose process died; the real host keeps pushing it out as long as it lives."""


async def deliver(host: Host) -> None:
    """Deliver as the host does: a message is deleted when its call has succeeded, and shows again when it has not."""
    client = QueueClient.from_connection_string(os.environ[CONNECTION], QUEUE, message_decode_policy=TextBase64DecodePolicy())
    async with client:
        while True:
            try:
                waiting = (await client.get_queue_properties()).approximate_message_count
            except ResourceNotFoundError:
                return
            message = await client.receive_message(visibility_timeout=VISIBILITY)
            if message is not None:
                await _call(host, client, message)
            elif not waiting:
                return
            else:
                await asyncio.sleep(0.2)


async def _call(host: Host, client: QueueClient, message: QueueMessage) -> None:
    over = asyncio.Event()

    async def hide() -> str | None:
        """Push the end of the message's invisibility out until the call is over; return the receipt that it has then."""
        receipt = message.pop_receipt
        while True:
            try:
                await asyncio.wait_for(over.wait(), VISIBILITY / 3)
            except TimeoutError:
                pushed = await client.update_message(message.id, receipt, visibility_timeout=VISIBILITY)
                receipt = pushed.pop_receipt
            else:
                return receipt

    hiding = asyncio.create_task(hide())
    try:
        await host.message("continue_sweep", message.content, dequeue_count=message.dequeue_count or 1)
    except Failed as error:
        sys.stderr.write(f"failed: {error}\n")
        over.set()
        await hiding
        return
    over.set()
    await client.delete_message(message.id, await hiding)


async def main(*, fire: bool) -> None:
    """Be a host for a while."""
    host = Host()
    await host.index()
    if fire:
        await host.timer("nightly_sweep")
    await deliver(host)
    answer = await host.http("get_sweep", "GET", "https://app.example/api/sweeps/all-1", params={"id": "all-1"})
    sys.stdout.write(f"{answer.body.decode()}\n")
    await desk().close()


if __name__ == "__main__":
    asyncio.run(main(fire="fire" in sys.argv))
