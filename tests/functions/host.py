"""A small Functions host over the real Python runtime: it indexes the app, hands it triggers, and sees what the host would see.

The runtime normally gets protobuf messages from the host; objects with the same fields do as well. What this host leaves out:
real schedules, the timer's singleton lock, scale-out.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).parents[2]


class _Message:
    """A message of the host: fields that were not set read as None."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not name.islower():
            raise AttributeError(name)

    def HasField(self, name: str) -> bool:  # noqa: N802 protobuf's own name
        return vars(self).get(name) is not None

    def WhichOneof(self, _: str) -> str | None:  # noqa: N802 protobuf's own name
        return next((name for name in vars(self) if name != "name"), None)


def _kind(name: str, **statics: Any) -> type[_Message]:
    return type(name, (_Message,), statics)


class _BindingInfo(_Message):
    inout, out, undefined = 2, 1, -1
    Direction = SimpleNamespace(Name=lambda value: {0: "in", 1: "out", 2: "inout"}[value])


_NAMES = (
    "TypedData WorkerInitResponse WorkerMetadata FunctionEnvironmentReloadResponse RpcRetryOptions NullableDouble RpcHttp "
    "RpcFunctionMetadata RpcException ParameterBinding NullableTimestamp NullableString NullableBool FunctionMetadataResponse "
    "FunctionLoadResponse InvocationResponse Duration"
)
PROTOS = SimpleNamespace(
    **{name: _kind(name) for name in _NAMES.split()},
    StatusResult=_kind("StatusResult", Failure=0, Success=1, Cancelled=2),
    RpcHttpCookie=_kind("RpcHttpCookie", SameSite=SimpleNamespace(Strict=2, Lax=1, ExplicitNone=3)),
    BindingInfo=_BindingInfo,
)


def _request(kind: str, **fields: Any) -> Any:
    return SimpleNamespace(request=_Message(**{kind: _Message(**fields)}), properties={"host": "127.0.0.1", "protos": PROTOS})


class Failed(Exception):
    """An invocation that the host would count as failed, and try again where the trigger does that."""


@dataclass(frozen=True, slots=True)
class Http:
    """What an HTTP function answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Host:
    """The functions of the app, by name, with the bindings that the host would see."""

    bindings: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _ids: dict[str, str] = field(default_factory=dict)

    async def index(self, folder: Path = ROOT) -> None:
        """Have the runtime import function_app.py and say what is in it."""
        from azure_functions_runtime import handle_event as runtime  # noqa: PLC0415 Python 3.13 and later alone has it

        init = _request(
            "worker_init_request",
            host_version="4.1048.0",
            function_app_directory=str(folder),
            capabilities={},
            worker_directory="",
            log_categories={},
        )
        here = Path.cwd()
        answer = await runtime.worker_init_request(init)
        os.chdir(here)
        assert answer.result.status == 1, vars(answer.result.exception)
        metadata = await runtime.functions_metadata_request(
            _request("functions_metadata_request", function_app_directory=str(folder))
        )
        for one in metadata.function_metadata_results:
            self.bindings[one.name] = [json.loads(binding) for binding in one.raw_bindings]
            self._ids[one.name] = one.function_id
            loaded = await runtime.function_load_request(
                _request("function_load_request", function_id=one.function_id, metadata=one)
            )
            assert loaded.result.status == 1, one.name

    async def invoke(self, name: str, argument: str, data: Any, metadata: Mapping[str, Any] | None = None) -> Any:
        """Invoke a function; return its return value as the host gets it. Raises Failed when it raised."""
        from azure_functions_runtime import handle_event as runtime  # noqa: PLC0415

        answer = await runtime.invocation_request(
            _request(
                "invocation_request",
                function_id=self._ids[name],
                invocation_id=str(uuid.uuid4()),
                input_data=[_Message(name=argument, data=data)],
                trigger_metadata=metadata or {},
                trace_context=_Message(trace_parent="", trace_state="", attributes={}),
                retry_context=_Message(retry_count=0, max_retry_count=0, exception=None),
            )
        )
        if answer.result.status != 1:
            raise Failed(answer.result.exception.message)
        return answer.return_value

    async def timer(self, name: str, *, payload: str | None = None, past_due: bool = False) -> None:
        """Fire a timer."""
        body = json.dumps({"Schedule": {"AdjustForDST": True}, "ScheduleStatus": {}, "IsPastDue": past_due})
        await self.invoke(name, "timer", PROTOS.TypedData(json=body if payload is None else payload))

    async def message(self, name: str, text: str, *, dequeue_count: int = 1) -> None:
        """Deliver a message of a queue."""
        metadata = {
            "Id": PROTOS.TypedData(string=str(uuid.uuid4())),
            "DequeueCount": PROTOS.TypedData(string=str(dequeue_count)),
            "PopReceipt": PROTOS.TypedData(string="receipt"),
        }
        await self.invoke(name, "message", PROTOS.TypedData(string=text), metadata)

    async def event(self, name: str, event: Mapping[str, Any]) -> None:
        """Deliver one event of Event Grid."""
        await self.invoke(name, "event", PROTOS.TypedData(json=json.dumps(event)))

    async def http(
        self, name: str, method: str, url: str, *, body: bytes = b"", params: Mapping[str, str] | None = None, **headers: str
    ) -> Http:
        """Send an HTTP request to a function."""
        told = PROTOS.RpcHttp(
            method=method,
            url=url,
            query={},
            params=dict(params or {}),
            headers={key.replace("_", "-"): value for key, value in headers.items()},
            body=PROTOS.TypedData(bytes=body),
            nullable_headers={},
            nullable_params={},
            nullable_query={},
            identities=[],
        )
        answer = (await self.invoke(name, "req", PROTOS.TypedData(http=told))).http
        content = answer.body.string if answer.body.string is not None else answer.body.bytes
        return Http(int(answer.status_code), dict(answer.headers), content.encode() if isinstance(content, str) else content or b"")
