"""Interactive queries: what the stores of a group of workers hold, over HTTP, asked of any of them.

Faust's assignor hands every member of the group the address of each other one with its partitions; a worker that is
asked for a key of another one's partition asks that one.
"""

import heapq
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from aiokafka.partitioner import DefaultPartitioner

from voicestream.streams.errors import StreamsError
from voicestream.streams.operators.windowed import KeyWindows
from voicestream.streams.runtime.group import Group
from voicestream.streams.stage import Stage
from voicestream.streams.state.store import Store

log = logging.getLogger(__name__)

FORWARDED = "Voicestream-Forwarded"
"""A request with this header came from another worker, and goes no further."""

FORWARD_TIMEOUT_S = 5.0
KEYS_LIMIT = 1_000
_PATH = "/stores"  # ends the address of a worker that answers queries; Faust gives every worker one
_EVERYWHERE = ("", "0.0.0.0", "::")


@dataclass(frozen=True)
class QueryConfig:
    """Where a worker answers queries; port 0 is a free one."""

    host: str = "127.0.0.1"
    port: int = 0


class QueryServer:
    """Answers for the stores of ``stages``; ``ready`` says whether partitions are assigned and read back."""

    def __init__(self, group: Group, stages: Iterable[Stage], config: QueryConfig, ready: Callable[[], bool]) -> None:
        self.url = ""
        self._group = group
        self._config = config
        self._ready = ready
        self._stores: dict[str, Store[Any]] = {}
        self._sources: dict[str, list[str]] = {}
        for stage in stages:
            for store in stage.stores.values():
                agents = [agent for agent in stage.agents if store in agent.stores]
                self._stores[store.name] = store
                self._sources[store.name] = sorted({topic.name for agent in agents for topic in agent.inputs})
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Listen at ``url``; raises ``StreamsError`` where the address cannot be had."""
        server = web.Application(middlewares=[_errors])
        server.router.add_get("/stores", self._list)
        server.router.add_get("/stores/{store}", self._keys)
        server.router.add_get("/stores/{store}/{key:.*}", self._value)
        self._runner = web.AppRunner(server, access_log=None)
        await self._runner.setup()
        host = self._config.host
        try:
            await web.TCPSite(self._runner, host, self._config.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise StreamsError(
                f"queries of stores: {host}:{self._config.port} cannot be had ({error.strerror}): every worker of a "
                "machine needs a port of its own; 0 finds a free one"
            ) from error
        port = self._runner.addresses[0][1]
        self.url = f"http://{socket.gethostname() if host in _EVERYWHERE else host}:{port}{_PATH}"
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FORWARD_TIMEOUT_S))
        log.info("queries of stores are answered at %s", self.url)

    async def stop(self) -> None:
        """Answer no more."""
        if self._client is not None:
            await self._client.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _list(self, request: web.Request) -> web.Response:
        return _json(
            [
                {"store": store.name, "partitions": store.partitions(), "entries": store.size()[0]}
                for store in self._stores.values()
            ]
        )

    async def _keys(self, request: web.Request) -> web.Response:
        store = self._store(request)
        prefix, limit = request.query.get("prefix", ""), request.query.get("limit", str(KEYS_LIMIT))
        if not limit.isdecimal():
            raise _Refusal(400, f"limit={limit}: give a number")
        self._check_ready()
        found = (key for _, key in store if key.startswith(prefix))
        keys = heapq.nsmallest(int(limit) + 1, found)
        return _json(
            {
                "store": store.name,
                "partitions": store.partitions(),
                "keys": keys[: int(limit)],
                "more": len(keys) > int(limit),
                "workers": self._workers(store),
            }
        )

    async def _value(self, request: web.Request) -> web.Response:
        store, key = self._store(request), request.match_info["key"]
        self._check_ready()
        partition = self._partition(store, key)
        if partition is None or partition in store.partitions():
            value = store.get(key) if partition is None else store.look_up(partition, key)
            if value is None:
                raise _Refusal(404, f"store {store.name} has no entry {key!r}")
            shown = value.open() if isinstance(value, KeyWindows) else value
            return _json({"store": store.name, "key": key, "partition": partition, "value": shown})
        if FORWARDED in request.headers:
            raise _Refusal(503, f"partition {partition} of store {store.name} has just moved")
        return await self._ask(self._holder(store, partition), request)

    async def _ask(self, url: str, request: web.Request) -> web.Response:
        assert self._client is not None
        there = url.removesuffix(_PATH)
        try:
            async with self._client.get(there + request.raw_path, headers={FORWARDED: "1"}) as answer:
                headers = {name: answer.headers[name] for name in ("Retry-After",) if name in answer.headers}
                return web.Response(
                    status=answer.status, body=await answer.read(), content_type="application/json", headers=headers
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise _Refusal(503, f"the worker at {there}, which has the key, does not answer: {reason}") from error

    def _store(self, request: web.Request) -> Store[Any]:
        name = request.match_info["store"]
        if name not in self._stores:
            known = ", ".join(sorted(self._stores)) or "none"
            raise _Refusal(404, f"there is no store {name!r} here; there are: {known}")
        return self._stores[name]

    def _check_ready(self) -> None:
        if not self._ready():
            raise _Refusal(503, "partitions are being assigned, or their state is being read back")

    def _partition(self, store: Store[Any], key: str) -> int | None:
        """The partition that producers choose for the key; ``None`` where no agent of the group writes the store."""
        every = list(range(self._group.partitions(self._sources[store.name])))
        return int(DefaultPartitioner()(key.encode(), every, every)) if every else None

    def _holder(self, store: Store[Any], partition: int) -> str:
        workers = self._workers(store)
        url = next((url for url, partitions in workers.items() if partition in partitions), None)
        if url is None or url == self.url:
            raise _Refusal(503, f"no worker that answers queries has partition {partition} of store {store.name}")
        return url

    def _workers(self, store: Store[Any]) -> dict[str, list[int]]:
        """The workers that answer queries, by address, each with its partitions of the store."""
        members = self._group.members(self._sources[store.name])
        return {url: partitions for url, partitions in members.items() if url.endswith(_PATH)}


class _Refusal(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except _Refusal as refusal:
        headers = {"Retry-After": "1"} if refusal.status == 503 else {}
        return _json({"error": str(refusal)}, refusal.status, headers)
    except web.HTTPException as error:
        return _json({"error": f"{request.method} {request.path}: {error.reason}"}, error.status)
    except Exception as error:
        log.error("query %s: %s", request.path, error, exc_info=error)
        return _json({"error": f"{type(error).__name__}: {error}"}, 500)


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(content), content_type="application/json", headers=headers
    )
