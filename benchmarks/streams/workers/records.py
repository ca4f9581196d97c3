"""What every Python peer shares: the names of the run, and Avro in and out with fastavro."""

import io
import os
from pathlib import Path
from typing import Any

import fastavro
from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form

BOOTSTRAP = os.environ["BENCH_BOOTSTRAP"]
JOB = os.environ["BENCH_JOB"]
NAME = os.environ["BENCH_NAME"]
FRAMES, CALLS, RESULTS = os.environ["BENCH_FRAMES"], os.environ["BENCH_CALLS"], os.environ["BENCH_RESULTS"]
PARTITIONS = int(os.environ["BENCH_PARTITIONS"])

MINUTE_MS = 60_000
HEADER_SIZE = 10  # of Avro's single-object encoding


class Avro:
    """One schema in Avro's single-object encoding."""

    def __init__(self, name: str) -> None:
        self._schema = load_schema(Path(os.environ["BENCH_SCHEMAS"]) / f"{name}.avsc")
        digest = fingerprint(to_parsing_canonical_form(self._schema), "CRC-64-AVRO")
        self._header = b"\xc3\x01" + bytes.fromhex(digest)

    def decode(self, data: bytes) -> Any:
        """The datum; raises ``ValueError`` for another schema's bytes."""
        if not data.startswith(self._header):
            raise ValueError("a message of another schema")
        stream = io.BytesIO(data)
        stream.seek(HEADER_SIZE)
        return fastavro.schemaless_reader(stream, self._schema, None)

    def encode(self, datum: Any) -> bytes:
        """The bytes with their header."""
        stream = io.BytesIO()
        stream.write(self._header)
        fastavro.schemaless_writer(stream, self._schema, datum)
        return stream.getvalue()


frames, calls, results = Avro("BenchFrame"), Avro("BenchCall"), Avro("BenchResult")


def of_frame(frame: Any, value: int) -> dict[str, Any]:
    """The result of the jobs that answer each frame."""
    return {"call_id": frame["call_id"], "number": frame["number"], "at_ms": frame["at_ms"], "value": value}


def of_window(call_id: str, start_ms: int, count: int) -> dict[str, Any]:
    """The result of the job that counts."""
    return {"call_id": call_id, "number": 0, "at_ms": start_ms, "value": count}
