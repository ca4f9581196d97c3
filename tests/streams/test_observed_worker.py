"""A worker process whose traces go to a collector and whose logs are lines of JSON."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from tests.processes import Topics, Worker, wait_until
from tests.samples import transcript
from voicestream import topics
from voicestream.codec import codec
from voicestream.embedded.broker import Broker

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.requests: list[ExportTraceServiceRequest] = []

    def spans(self) -> dict[str, tuple[str, str, str]]:
        """Service, trace and parent by the name of the span."""
        return {
            span.name: (service(resource), span.trace_id.hex(), span.parent_span_id.hex())
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }


def service(spans: ResourceSpans) -> str:
    return {a.key: a.value.string_value for a in spans.resource.attributes}["service.name"]


class _Request(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        packed = self.headers.get("content-encoding") == "gzip"
        self.server.requests.append(ExportTraceServiceRequest.FromString(gzip.decompress(body) if packed else body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_trace_goes_on_in_what_a_worker_sends_and_its_log_names_the_record(
    tmp_path: Path, collector: Collector
) -> None:
    with Broker(tmp_path / "broker.log") as broker:
        worker = Worker(
            "observed",
            tmp_path,
            "tests.cli.dlq_app",
            VOICESTREAM_BROKER=f"embedded://{broker.bootstrap}",
            VOICESTREAM_PARTITIONS="1",
            VOICESTREAM_TRACING=f"http://127.0.0.1:{collector.server_port}",
            VOICESTREAM_LOG_FORMAT="json",
            OTEL_BSP_SCHEDULE_DELAY="100",
            BROKEN="1",
        )
        try:
            worker.wait_ready()
            there = Topics(broker.bootstrap, codec())
            value = codec().encode(topics.transcripts, transcript(call_id="c"))
            header = ("traceparent", f"00-{TRACE}-{PARENT}-01".encode())
            there.send_raw(topics.transcripts, "c", value, [header])
            wait_until("the span is at the collector", collector.spans)
            assert collector.spans() == {"dlq-test count": ("voicestream.dlq-test", TRACE, PARENT)}
            sent = next(filter(None, there.messages(topics.insights.name)))
            assert dict(sent.headers())["traceparent"].decode().split("-")[1] == TRACE
            there.send(topics.transcripts, transcript(call_id="c", number=1, text="odd"))
            line = wait_until("the failure is logged", lambda: failure(worker))
            assert (line["stage"], line["agent"], line["step"]) == ("dlq-test", "count", "process")
            assert (line["topic"], line["partition"], line["offset"], line["key"]) == ("voice.transcripts", 0, 1, "c")
            worker.terminate()
            assert worker.wait() == 0
        finally:
            worker.stop()


def failure(worker: Worker) -> dict[str, object] | None:
    """The line that reports a failed record; each line before it is JSON too."""
    whole, _, _ = worker.said().rpartition("\n")
    lines = [line for line in whole.splitlines() if line]
    first = next(n for n, line in enumerate(lines) if line.startswith("{"))
    found = [line for line in map(json.loads, lines[first:]) if "failed" in line["message"]]
    return found[0] if found else None
