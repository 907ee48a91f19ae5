"""Listing and reading of Blob Storage: names and reads a second of client CPU, ours beside the SDK's own, in one run.

A server on this machine answers with pages of 5,000 names as the service writes them. Each measurement is a process of its own;
CPU is that process's (listing only, start-up left out), memory its peak with start-up. Writes bench/results/listing.json.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from pathlib import Path

from aiohttp import web
from azure.core import MatchConditions
from azure.core.credentials import AzureKeyCredential
from azure.storage.blob.aio import ContainerClient

from jobs.adapters.azure_blob import open_azure_blob

ROOT = Path(__file__).parent.parent
PAGE = 5000
KEY = base64.b64encode(b"a key that the stub does not check").decode()
IMAGE = os.urandom(10_000)
ETAG = "0x8DC0123456789AB"
AT_ONCE = 32


def _row(number: int) -> str:
    md5 = base64.b64encode(hashlib.md5(b"%d" % number, usedforsecurity=False).digest()).decode()
    return (
        f"<Blob><Name>catalog/2026/@@@@@@@@/{number:06}.jpg</Name><Properties><Creation-Time>Sun, 22 Nov 2026 19:11:01 GMT"
        f"</Creation-Time><Last-Modified>Sun, 22 Nov 2026 19:11:{number % 60:02} GMT</Last-Modified><Etag>0x8DC{number:012X}</Etag>"
        f"<Content-Length>{100_000 + number}</Content-Length><Content-Type>image/jpeg</Content-Type><Content-Encoding />"
        f"<Content-Language /><Content-CRC64 /><Content-MD5>{md5}</Content-MD5><Cache-Control /><Content-Disposition />"
        "<BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier><AccessTierInferred>true</AccessTierInferred>"
        "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState><ServerEncrypted>true</ServerEncrypted>"
        "</Properties><OrMetadata /></Blob>"
    )


def serve(names: int) -> None:
    """Answer List Blobs with so many names, and Get Blob with ten kilobytes; print the port."""
    rows = "".join(map(_row, range(PAGE)))

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.query.get("comp") != "list":
            headers = {"ETag": f'"{ETAG}"', "Last-Modified": "Sun, 22 Nov 2026 19:11:01 GMT", "x-ms-blob-type": "BlockBlob"}
            if "x-ms-range" in request.headers:
                headers["Content-Range"] = f"bytes 0-{len(IMAGE) - 1}/{len(IMAGE)}"
            return web.Response(body=IMAGE, headers=headers, status=206 if "x-ms-range" in request.headers else 200)
        number = int(request.query.get("marker") or 0)
        more = number + 1 if (number + 1) * PAGE < names else ""
        body = (
            '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://127.0.0.1/" ContainerName="photos">'
            f"<MaxResults>{PAGE}</MaxResults><Blobs>{rows.replace('@@@@@@@@', f'{number:08}')}</Blobs>"
            f"<NextMarker>{more}</NextMarker></EnumerationResults>"
        )
        return web.Response(body=body.encode(), content_type="application/xml")

    async def run() -> None:
        listener = await asyncio.get_running_loop().create_server(web.Server(answer), "127.0.0.1", 0)
        print(listener.sockets[0].getsockname()[1], flush=True)
        await listener.serve_forever()

    asyncio.run(run())


@contextmanager
def served(names: int) -> Iterator[str]:
    """Run the stub as a process; yield the address of its container."""
    with subprocess.Popen([sys.executable, __file__, "--serve", str(names)], stdout=subprocess.PIPE, text=True) as stub:
        assert stub.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(stub.stdout.readline())}/devstoreaccount1/photos"
        finally:
            stub.terminate()


async def list_ours(address: str) -> int:
    """List with our source; return the number of names."""
    async with open_azure_blob(address, AzureKeyCredential(KEY), page=500) as source:
        return sum([len(page.blobs) async for page in source.pages()])


async def list_sdk(address: str) -> int:
    """List with the SDK's client; return the number of names."""
    async with ContainerClient.from_container_url(address, credential=_account()) as client:
        return sum([1 async for _ in client.list_blobs()])


async def read_ours(address: str) -> int:
    """Read one blob many times, several at once; return how often."""
    async with open_azure_blob(address, AzureKeyCredential(KEY)) as source:
        async with aclosing(source.pages()) as pages:
            page = await anext(pages)
        blob = replace(page.blobs[0], etag=ETAG, size=len(IMAGE))
        return await _often(lambda: source.read(blob))


async def read_sdk(address: str) -> int:
    """Do the same with the SDK's client."""
    async with ContainerClient.from_container_url(address, credential=_account()) as client:

        async def read() -> bytes:
            stream = await client.download_blob("a.jpg", etag=ETAG, match_condition=MatchConditions.IfNotModified)
            data: bytes = await stream.readall()
            return data

        return await _often(read)


def _account() -> dict[str, str]:
    return {"account_name": "devstoreaccount1", "account_key": KEY}


async def _often(read: Callable[[], Awaitable[bytes]], number: int = 3000) -> int:
    async def some() -> None:
        for _ in range(number // AT_ONCE):
            assert len(await read()) == len(IMAGE)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return number // AT_ONCE * AT_ONCE


KINDS = {"list ours": list_ours, "list SDK": list_sdk, "read ours": read_ours, "read SDK": read_sdk}


def child(kind: str, address: str) -> None:
    """Measure in this process; print the figures."""
    begun = time.process_time()
    number = asyncio.run(KINDS[kind](address))
    cpu = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"number": number, "per_cpu_second": round(number / cpu), "peak_mb": round(peak, 1)}))


def measure(kind: str, address: str, *, times: int = 1) -> dict[str, float]:
    """Measure in a process of its own, so many times; return the median rate and the highest peak."""
    found = []
    for _ in range(times):
        done = subprocess.run([sys.executable, __file__, "--child", kind, address], check=True, capture_output=True)
        found.append(json.loads(done.stdout))
    rate = statistics.median(one["per_cpu_second"] for one in found)
    return {"number": found[0]["number"], "per_cpu_second": rate, "peak_mb": max(one["peak_mb"] for one in found)}


def main() -> None:
    """Run the bench and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=int)
    parser.add_argument("--child", nargs=2)
    parser.add_argument("--most", type=int, default=500_000, help="names of the longest listing")
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    if arguments.child:
        child(*arguments.child)
        return
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n{'':28}{'number':>9}{'a CPU second':>14}{'peak MB':>9}")
    results: dict[str, object] = {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }
    rows = [("list SDK", 20_000, 3), ("list ours", 20_000, 3), ("list ours", 10_000, 1), ("list ours", 100_000, 1),
            ("list ours", arguments.most, 1), ("read SDK", PAGE, 3), ("read ours", PAGE, 3)]  # fmt: skip
    for kind, names, times in rows:
        with served(names) as address:
            row = measure(kind, address, times=times)
        results[f"{kind} {names}"] = row
        print(f"{kind:28}{row['number']:9,.0f}{row['per_cpu_second']:14,.0f}{row['peak_mb']:9.0f}", flush=True)
    rates = {key: row["per_cpu_second"] for key, row in results.items() if isinstance(row, dict)}
    results["listing ratio"] = round(rates["list ours 20000"] / rates["list SDK 20000"], 1)
    results["reading ratio"] = round(rates[f"read ours {PAGE}"] / rates[f"read SDK {PAGE}"], 1)
    print(f"ours : SDK   listing {results['listing ratio']}, reading {results['reading ratio']}")
    folder = ROOT / "bench/results"
    folder.mkdir(exist_ok=True)
    (folder / "listing.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
