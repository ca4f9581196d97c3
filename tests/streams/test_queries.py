"""Real workers on the embedded broker: their stores are asked over HTTP, killed, and come back exactly."""

import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from typer.testing import CliRunner

from tests.processes import Topics, Worker, wait_until
from tests.samples import transcript
from tests.streams.counting_stage import said_of
from voicestream.cli.main import app
from voicestream.codec import codec
from voicestream.embedded.broker import Broker

CALLS = 24
PARTITIONS = 4


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Group:
    """The workers of one test's stage."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.name = f"state-{uuid4().hex[:8]}"
        self.store = f"{self.name}-counting-tallies"
        self.sent: Counter[str] = Counter()
        self.workers: dict[int, Worker] = {}
        self._topics = Topics(broker.bootstrap, codec())
        self._broker = broker
        self._folder = folder

    def worker(self, *, ready: bool = True, **env: str) -> int:
        """Start a worker; the port at which it answers queries."""
        port = free_port()
        settings = {
            "VOICESTREAM_BROKER": self._broker.url,
            "VOICESTREAM_PARTITIONS": str(PARTITIONS),
            "VOICESTREAM_STATE_FOLDER": str(self._folder / "state"),
            "VOICESTREAM_QUERY_PORT": str(port),
            "UNDER_TEST": self.name,
            **env,
        }
        self.workers[port] = Worker(f"w{port}", self._folder, "tests.streams.counting_stage", **settings)
        if ready:
            self.workers[port].wait_ready()
        return port

    def send(self, count: int) -> None:
        """Say something in every call in turn."""
        for n in range(count):
            call = f"call/{sum(self.sent.values()) % CALLS} é"
            self._topics.send(said_of(self.name), transcript(call_id=call, number=self.sent[call], text="one two"))
            self.sent[call] += 1
            if n % 50 == 49:
                time.sleep(0.01)

    def get(self, port: int, path: str, **query: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{port}/stores{path}", params=query, timeout=10)

    def value(self, port: int, call: str) -> httpx.Response:
        return self.get(port, f"/{self.store}/{call}")

    def count(self, port: int, call: str) -> int | None:
        """How many transcripts of the call there were; ``None`` while nobody can tell."""
        try:
            answer = self.value(port, call)
        except httpx.TransportError:
            return None
        if answer.status_code == 404:
            return 0
        return answer.json()["value"]["count"] if answer.status_code == 200 else None

    def wait_counted(self, port: int) -> None:
        """Wait until the worker finds for each call what was sent, and check that it stays."""

        def counted() -> dict[str, int | None]:
            return {call: self.count(port, call) for call in self.sent}

        expected = dict(self.sent)
        wait_until("all counted", lambda: sum(n or 0 for n in counted().values()) >= sum(expected.values()))
        assert counted() == expected

    def stop(self) -> None:
        for worker in self.workers.values():
            worker.stop()


@pytest.fixture
def group(broker: Broker, tmp_path: Path) -> Iterator[Group]:
    found = Group(broker, tmp_path)
    try:
        yield found
    finally:
        found.stop()


def voicestream(*arguments: str) -> str:
    """What the command prints."""
    return CliRunner().invoke(app, arguments).output


def settled(group: Group, *ports: int) -> Callable[[], Any]:
    """Whether the workers share the partitions."""

    def ready() -> bool:
        answers = [group.get(port, f"/{group.store}") for port in ports]
        shares = [a.json()["partitions"] for a in answers if a.status_code == 200]
        return len(shares) == len(ports) and all(shares) and sorted(chain(*shares)) == list(range(PARTITIONS))

    return ready


def test_a_key_is_found_by_asking_any_worker(group: Group):
    first = group.worker()
    group.send(60)
    second = group.worker()
    wait_until("the partitions are shared", settled(group, first, second))
    group.send(60)
    group.wait_counted(first)
    group.wait_counted(second)

    here, there = (group.get(port, f"/{group.store}").json() for port in (first, second))
    assert sorted(here["keys"] + there["keys"]) == sorted(group.sent)
    assert not set(here["keys"]) & set(there["keys"])
    assert here["workers"] == there["workers"]
    assert here["workers"][f"http://127.0.0.1:{first}/stores"] == here["partitions"]
    some = group.get(first, f"/{group.store}", prefix=here["keys"][0][:6], limit="1").json()
    assert some["keys"] == [min(key for key in here["keys"] if key.startswith(here["keys"][0][:6]))]

    answer = group.value(first, there["keys"][0])
    assert answer.json() == {
        "store": group.store,
        "key": there["keys"][0],
        "partition": answer.json()["partition"],
        "value": {"count": 5, "words": 10},
    }
    assert group.get(first, "").json() == [
        {"store": group.store, "partitions": here["partitions"], "entries": len(here["keys"])}
    ]
    for port in first, second:
        nobody = group.value(port, "nobody")
        assert (nobody.status_code, nobody.json()) == (404, {"error": f"store {group.store} has no entry 'nobody'"})
    unknown = group.get(first, "/no-such/x")
    assert unknown.status_code == 404
    assert unknown.json() == {"error": f"there is no store 'no-such' here; there are: {group.store}"}
    assert group.get(first, f"/{group.store}", limit="many").status_code == 400
    assert httpx.get(f"http://127.0.0.1:{first}/nothing").json() == {"error": "GET /nothing: Not Found"}

    here_url = ("--url", f"http://127.0.0.1:{first}")
    assert json.loads(voicestream("state", "get", group.store, there["keys"][0], *here_url)) == answer.json()["value"]
    assert voicestream("state", "keys", group.store, *here_url).splitlines() == sorted(group.sent)
    assert voicestream("state", "list", *here_url).startswith(
        f"{group.store}: {len(here['keys'])} entries; partitions "
    )
    assert voicestream("state", "get", group.store, "nobody", *here_url) == f"error: {nobody.json()['error']}\n"
    assert "no worker answers queries at http://127.0.0.1:1" in voicestream(
        "state", "list", "--url", "http://127.0.0.1:1"
    )

    forwarded = httpx.get(
        f"http://127.0.0.1:{first}/stores/{group.store}/{there['keys'][0]}", headers={"Voicestream-Forwarded": "1"}
    )
    assert (forwarded.status_code, forwarded.headers["Retry-After"]) == (503, "1")

    group.workers[second].freeze()  # its partitions stay its own until the broker notices
    silent = group.value(first, there["keys"][0])
    assert silent.status_code == 503
    assert f"127.0.0.1:{second}" in silent.json()["error"]
    group.workers[second].kill()
    group.wait_counted(first)


@pytest.mark.parametrize(("backend", "standby"), [("rocksdb", "false"), ("memory", "true")])
def test_counts_are_exact_whenever_workers_are_killed(group: Group, backend: str, standby: str):
    settings = {"VOICESTREAM_STATE": backend, "VOICESTREAM_STANDBY": standby}
    first = group.worker(**settings)
    second = group.worker(**settings)
    wait_until("the partitions are shared", settled(group, first, second))
    group.send(1_500)
    group.workers[first].kill()
    group.send(200)
    group.workers[first].start()
    group.workers[first].wait_ready()
    group.send(1_500)
    group.workers[second].kill()
    group.workers[first].kill()
    group.send(100)
    third = group.worker(**settings)
    group.wait_counted(third)
