"""Client CPU of the Azure profile: a sweep through the SDKs, beside the script that a user would write, in one run.

Azurite, a Cosmos DB server and stand-ins for AI Vision and AI Search (with the latency of a service) run as processes of their own,
so that the CPU counted is the client's, user and system, from the first request on; start-up is told apart. Sweep and rival take
turns over the same small JPEGs, each in a fresh process with a fresh database and index. Every image is another: nothing is reused.
Colours are left out of the sweep, as the rival has none: they need a decode. Writes bench/results/azure.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
RIVAL = ROOT / "bench/azure_rival.py"
CONTAINER = "photos"
PARTS = ("listing", "ledger", "read", "classify", "claims on content", "store", "publish", "our own code", "event loop")
RATE = 1000
"""Calls a second that the quota allows: the client is to be what is slow."""


@contextmanager
def services(folder: Path, latency: float) -> Iterator[dict[str, str]]:
    """Start what stands for the four services; yield addresses and keys."""
    from tests.servers.azurite import ACCOUNT, KEY, azurite  # noqa: PLC0415
    from tests.servers.cosmos import KEY as COSMOS_KEY  # noqa: PLC0415
    from tests.servers.cosmos import cosmos_server  # noqa: PLC0415
    from tests.standins.serve import spawned  # noqa: PLC0415

    os.environ["PYTHONPATH"] = str(ROOT)
    with ExitStack() as stack:
        about = {
            "blob": stack.enter_context(azurite(folder)),
            "cosmos": stack.enter_context(cosmos_server(folder)),
            "vision": stack.enter_context(spawned("tests.standins.vision", "fast")),
            "search": stack.enter_context(spawned("tests.standins.search")),
        }
        for name in ("vision", "search"):
            body = json.dumps({"latency": latency}).encode()
            request = urllib.request.Request(  # noqa: S310 ours, on this machine
                f"{about[name]}/_control", body, {"Content-Type": "application/json"}, method="POST"
            )
            urllib.request.urlopen(request).close()  # noqa: S310
        keys = {"blob_key": KEY, "cosmos_key": COSMOS_KEY, "vision_key": "vision-key", "search_key": "admin"}
        yield {**about, **keys, "account": ACCOUNT, "container": CONTAINER}


async def upload(about: Mapping[str, str], folder: Path, number: int) -> None:
    """Make the corpus, and put it into the container."""
    import corpus  # noqa: PLC0415
    from azure.storage.blob.aio import ContainerClient  # noqa: PLC0415

    made = corpus.make("small", number, source=ROOT / "samples", target=folder)
    account = {"account_name": about["account"], "account_key": about["blob_key"]}
    async with ContainerClient(about["blob"], CONTAINER, credential=account) as client:
        await client.create_container()
        turns = asyncio.Semaphore(16)

        async def one(path: Path) -> None:
            async with turns:
                await client.upload_blob(str(path.relative_to(made)), await asyncio.to_thread(path.read_bytes))

        await asyncio.gather(*(one(path) for path in corpus.files(made, number)))


def environment(about: Mapping[str, str], name: str, options: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a sweep with a database and an index of its own."""
    settings = {
        "source": f"azure-blob:{about['blob']}/{CONTAINER}",
        "classifier": f"azure-vision:{about['vision']}",
        "store": f"cosmos:{about['cosmos']}/{name}",
        "index": f"azure-search:{about['search']}/{name}",
        "vision_colours": "false",
        "calls_per_second": str(RATE),
        **{key: about[key] for key in ("blob_key", "cosmos_key", "vision_key", "search_key")},
        **options,
    }
    plain = {key: value for key, value in os.environ.items() if not key.startswith("IMAGESWEEP_")}
    return {**plain, **{f"IMAGESWEEP_{key.upper()}": value for key, value in settings.items()}}


async def prepare(about: Mapping[str, str], name: str) -> None:
    """Make what the rival writes to: a database with a container, and an index of the fields that it fills."""
    from azure.core.credentials import AzureKeyCredential  # noqa: PLC0415
    from azure.cosmos import PartitionKey  # noqa: PLC0415
    from azure.cosmos.aio import CosmosClient  # noqa: PLC0415
    from azure.search.documents.indexes.aio import SearchIndexClient  # noqa: PLC0415
    from azure.search.documents.indexes.models import SearchIndex  # noqa: PLC0415

    async with CosmosClient(about["cosmos"], about["cosmos_key"], enable_endpoint_discovery=False) as client:
        await (await client.create_database(name)).create_container("results", PartitionKey("/bucket"))
    definition = json.loads((ROOT / "search/index.json").read_text()) | {"name": name}
    async with SearchIndexClient(about["search"], AzureKeyCredential(about["search_key"])) as indexes:
        await indexes.create_or_update_index(SearchIndex(definition))


def rival(about: Mapping[str, str], name: str) -> dict[str, Any]:
    """Run the user's script in a process of its own."""
    asyncio.run(prepare(about, name))
    told = {**about, "database": name, "index": name}
    return _child([sys.executable, str(RIVAL)], {**os.environ, "RIVAL": json.dumps(told)})


def sweep(about: Mapping[str, str], name: str, options: Mapping[str, str], *, profile: bool) -> dict[str, Any]:
    """Run a sweep in a process of its own."""
    settings = environment(about, name, options)
    program = [str(Path(sys.executable).parent / "imagesweep"), "index", "create"]
    subprocess.run(program, env=settings, check=True, capture_output=True)
    return _child([sys.executable, __file__, "--child", "profile" if profile else "plain"], settings)


def _child(command: list[str], settings: Mapping[str, str]) -> dict[str, Any]:
    done = subprocess.run(command, env=settings, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


async def child(*, profile: bool) -> None:
    """Sweep as the command line does, with everything open before the clock starts; print its CPU and wall seconds as JSON."""
    from azure_sampler import sampled, told  # noqa: PLC0415

    from jobs import wiring  # noqa: PLC0415
    from jobs.settings import load  # noqa: PLC0415
    from jobs.sweep import sweep as job  # noqa: PLC0415
    from jobs.work import Ports  # noqa: PLC0415

    logging.disable(logging.INFO)
    settings = load()
    terms = wiring.terms(settings)
    async with AsyncExitStack() as stack:
        classifier = await stack.enter_async_context(wiring.classifier(settings))
        store = await stack.enter_async_context(wiring.store(settings))
        index = await stack.enter_async_context(wiring.publishing(settings, store))
        source = await stack.enter_async_context(wiring.sources(settings)[0])
        ports = Ports(source, classifier, store, store, store, index)
        at_start, begun = time.process_time(), time.perf_counter()
        with sampled(_ports(settings)) if profile else nullcontext() as sampler:
            report = await job(ports=ports, terms=terms)
        wall, spent = time.perf_counter() - begun, time.process_time() - at_start
    if report.status != "complete" or report.published != report.classified or report.listed != report.classified:
        raise SystemExit(f"the sweep came to {report}")
    found = {"images": report.classified, "cpu": spent, "wall": wall, "start_cpu": at_start, "requests": report.ru}
    print(json.dumps(found | (told(sampler) if sampler else {})))


def _ports(settings: Any) -> dict[int, str]:
    """Return what part the callbacks of a socket are about, by the port that it is connected to."""
    named = {"read": settings.source, "classify": settings.classifier, "ledger": settings.store, "publish": settings.index}
    return {urlsplit(place.partition(":")[2]).port or 0: part for part, place in named.items()}


def each(run: Mapping[str, Any]) -> float:
    """Return milliseconds of client CPU an image."""
    return float(1000 * run["cpu"] / run["images"])


def by_part(runs: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Return milliseconds an image by part, the median of the runs: in the SDKs and below, and in our own code."""
    names = dict.fromkeys([*PARTS, *(part for run in runs for part in run["parts"])])
    return {
        part: [statistics.median(1000 * run["parts"].get(part, [0, 0])[whose] / run["images"] for run in runs) for whose in (0, 1)]
        for part in names
    }


def show(result: Mapping[str, Any]) -> None:
    """Print the tables."""
    print(f"{'':22}{'ms of CPU':>12}{'images a CPU s':>16}{'images/s':>10}{'start-up s':>12}")
    for who in ("rival", "sweep"):
        one = result[who]
        print(f"{who:22}{one['ms']:12.2f}{1000 / one['ms']:16.0f}{one['images_per_second']:10.0f}{one['start_cpu']:12.1f}")
    print(f"{'ratio':22}{result['ratio']:12.2f}   of {', '.join(f'{ratio:.2f}' for ratio in result['ratios'])}")
    print(f"\n{'ms of CPU an image':22}{'SDK':>8}{'ours':>8}{'rival':>8}")
    for part, (sdk, ours) in result["parts"].items():
        theirs = result["rival"]["parts"].get(part, [0, 0])[0]
        print(f"{part:22}{sdk:8.2f}{ours:8.2f}{theirs:8.2f}")
    sums = [sum(pair[whose] for pair in result["parts"].values()) for whose in (0, 1)]
    print(f"{'together':22}{sums[0]:8.2f}{sums[1]:8.2f}   {result['samples']} samples")
    print(f"{'Cosmos requests':22}{result['requests']:8.2f}")


def main() -> None:
    """Run the bench and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", choices=("plain", "profile"))
    parser.add_argument("--number", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds that AI Vision and AI Search take")
    parser.add_argument("--corpora", type=Path, default=Path(tempfile.gettempdir()) / "imagesweep-bench")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the sweep")
    parser.add_argument("--hot", type=int, default=0, help="print so many of the places where time goes")
    parser.add_argument("--no-rival", action="store_true")
    arguments = parser.parse_args()
    if arguments.child:
        asyncio.run(child(profile=arguments.child == "profile"))
        return
    options = dict(one.split("=", 1) for one in arguments.set)
    with tempfile.TemporaryDirectory() as folder, services(Path(folder), arguments.latency) as about:
        asyncio.run(upload(about, arguments.corpora / f"small-{arguments.number}", arguments.number))
        runs: dict[str, list[dict[str, Any]]] = {"rival": [], "sweep": [], "profile": []}
        for _ in range(arguments.rounds):
            if not arguments.no_rival:
                runs["rival"].append(rival(about, _fresh()))
            runs["sweep"].append(sweep(about, _fresh(), options, profile=False))
            runs["profile"].append(sweep(about, _fresh(), options, profile=True))
    result = summary(runs, options)
    show(result)
    for place, seconds in runs["profile"][-1]["hot"][: arguments.hot]:
        print(f"{1000 * seconds / arguments.number:7.3f}  {place}")
    if not (options or arguments.no_rival):
        (ROOT / "bench/results/azure.json").write_text(json.dumps(result, indent=2) + "\n")


def summary(runs: Mapping[str, list[dict[str, Any]]], options: Mapping[str, str]) -> dict[str, Any]:
    """Return medians, and the ratio of each round, whose two runs were neighbours in time."""
    ratios = [each(theirs) / each(ours) for theirs, ours in zip(runs["rival"], runs["sweep"], strict=False)] or [0.0]
    result: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "images": runs["sweep"][0]["images"],
        "settings": dict(options),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "parts": by_part(runs["profile"]),
        "samples": sum(run["samples"] for run in runs["profile"]),
        "requests": statistics.median(run["requests"] / run["images"] for run in runs["sweep"]),
    }
    for who in ("rival", "sweep"):
        some = runs[who] or runs["sweep"]
        result[who] = {
            "ms": statistics.median(map(each, some)),
            "images_per_second": statistics.median(run["images"] / run["wall"] for run in some),
            "start_cpu": statistics.median(run["start_cpu"] for run in some),
            "parts": by_part(runs["rival"]) if who == "rival" and runs["rival"] else {},
        }
    return result


def _fresh() -> str:
    return f"bench-{uuid.uuid4().hex[:8]}"


if __name__ == "__main__":
    main()
