"""What a user would write instead, with the SDKs' synchronous clients and 16 threads. Prints its time as JSON.

For each image: one download, one analysis, one upsert, one upload. No watermark, no claims, nothing reused, nothing resumed.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from azure.ai.vision.imageanalysis import ImageAnalysisClient
from azure.ai.vision.imageanalysis.models import VisualFeatures
from azure.core.credentials import AzureKeyCredential
from azure.cosmos import CosmosClient
from azure.search.documents import SearchClient
from azure.storage.blob import ContainerClient

THREADS = 16
FEATURES = [VisualFeatures.TAGS, VisualFeatures.CAPTION]
T = TypeVar("T")


class Rival:
    """The clients, made once and shared by the threads; `cpu` are the threads' own CPU seconds by service."""

    def __init__(self, about: dict[str, str]) -> None:
        account = {"account_name": about["account"], "account_key": about["blob_key"]}
        self.blobs = ContainerClient(about["blob"], about["container"], credential=account)
        self.vision = ImageAnalysisClient(about["vision"], AzureKeyCredential(about["vision_key"]))
        cosmos = CosmosClient(about["cosmos"], about["cosmos_key"], enable_endpoint_discovery=False)
        self.results = cosmos.get_database_client(about["database"]).get_container_client("results")
        self.search = SearchClient(about["search"], about["index"], AzureKeyCredential(about["search_key"]))
        self.cpu: Counter[str] = Counter()

    def one(self, name: str) -> dict[str, float]:
        """Take one image from its bytes to its document; return the CPU seconds of each service."""
        cpu: dict[str, float] = {}
        data = _timed(cpu, "read", lambda: self.blobs.download_blob(name).readall())
        found = _timed(cpu, "classify", lambda: self.vision.analyze(data, visual_features=FEATURES, language="en"))
        key = hashlib.sha256(name.encode()).hexdigest()
        tags = [{"name": tag.name, "confidence": tag.confidence} for tag in found.tags.list] if found.tags else []
        caption = found.caption.text if found.caption else ""
        item = {"id": key, "bucket": key[:2], "name": name, "caption": caption, "tags": tags, "bytes": len(data)}
        _timed(cpu, "store", lambda: self.results.upsert_item(item))
        document: dict[str, Any] = {"id": key, "name": name, "caption": caption, "tags": tags,
                                    "tag_names": [tag["name"] for tag in tags]}  # fmt: skip
        _timed(cpu, "publish", lambda: self.search.upload_documents([document]))
        return cpu


def _timed(cpu: dict[str, float], part: str, work: Callable[[], T]) -> T:
    begun = time.thread_time()
    done = work()
    cpu[part] = time.thread_time() - begun
    return done


def main() -> None:
    """Take every image of the container; print seconds of CPU and wall, those before the first request apart."""
    about = json.loads(os.environ["RIVAL"])
    rival = Rival(about)
    started, begun, cpu = time.process_time(), time.perf_counter(), time.thread_time()
    names = [blob.name for blob in rival.blobs.list_blobs()]
    rival.cpu["listing"] = time.thread_time() - cpu
    with ThreadPoolExecutor(THREADS) as threads:
        for each in threads.map(rival.one, names):
            rival.cpu.update(each)
    spent = time.process_time() - started
    print(json.dumps({"images": len(names), "cpu": spent, "wall": time.perf_counter() - begun, "start_cpu": started,
                      "parts": {part: [seconds, 0.0] for part, seconds in rival.cpu.items()}}), file=sys.stdout)  # fmt: skip


if __name__ == "__main__":
    main()
