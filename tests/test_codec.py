"""Records, their schemas, and the bytes on the topics."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.samples import transcript
from voicestream import records, topics
from voicestream.codec import codec, schema_folder
from voicestream.records import AudioChunk, EndOfCall
from voicestream.streams.avro.codec import Codec, check_records
from voicestream.streams.avro.registry import ConfluentRegistry
from voicestream.streams.avro.schemas import Schema, SchemaSet
from voicestream.streams.dead_letter import DeadLetter, LetterReplay
from voicestream.streams.errors import DecodeError, EncodeError, StreamsError
from voicestream.streams.record import Record

OURS = [r for r in vars(records).values() if isinstance(r, type) and issubclass(r, Record)]
RECORDS = [*OURS, DeadLetter, LetterReplay]
SCHEMAS = SchemaSet.of_folders(schema_folder())


def test_records_and_schemas_have_the_same_fields():
    assert check_records(SCHEMAS, RECORDS) == []
    assert {r.__name__ for r in RECORDS} == set(SCHEMAS.current)


def test_every_schema_and_field_is_documented():
    for schema in SCHEMAS.current.values():
        assert schema.source["doc"]
        assert all(field["doc"] for field in schema.source["fields"]), schema.name


def test_a_record_comes_back_as_it_was():
    data = codec().encode(topics.transcripts, transcript())
    assert codec().decode(topics.transcripts, data) == transcript()


@given(audio=st.binary(max_size=4000), gap=st.integers(0, 2**31 - 1), sequence=st.integers(0, 2**63 - 1))
def test_any_audio_comes_back_as_it_was(audio, gap, sequence):
    chunk = AudioChunk(
        call_id="c", track="mono", sequence=sequence, start_ms=0, duration_ms=100, gap_ms=gap, at_ms=0,
        codec="mulaw", sample_rate=8000, audio=audio,
    )  # fmt: skip
    assert codec().decode(topics.audio, codec().encode(topics.audio, chunk)) == chunk


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_record_or_a_decode_error(data, framed):
    prefix = b"\xc3\x01" + SCHEMAS.current["Transcript"].fingerprint if framed else b""
    with contextlib.suppress(DecodeError):
        assert isinstance(codec().decode(topics.transcripts, prefix + data), Record)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "no value"),
        (b"", "begins with nothing"),
        (b"hello", "no Avro framing"),
        (b"\xc3\x01" + bytes(8), "unknown schema"),
        (b"\x00\x00\x00\x00\x07abc", "schema 7 of a registry"),
        (codec().encode(topics.transcripts, transcript()) + b"x", "bytes are left"),
        (codec().encode(topics.transcripts, transcript())[:-1], "not a valid Transcript"),
    ],
)
def test_bytes_that_are_no_record_say_why(data, message):
    with pytest.raises(DecodeError, match=message):
        codec().decode(topics.transcripts, data)


def test_a_record_of_another_topic_is_refused_both_ways():
    data = codec().encode(topics.transcripts, transcript())
    with pytest.raises(
        DecodeError, match=r"voice\.audio: it carries AudioChunk, EndOfCall, but the message is of schema T"
    ):
        codec().decode(topics.audio, data)
    with pytest.raises(EncodeError, match="not Transcript"):
        codec().encode(topics.audio, transcript())


def test_a_value_that_does_not_fit_the_schema_is_refused():
    with pytest.raises(EncodeError, match="does not fit"):
        codec().encode(topics.transcripts, transcript(start_ms="soon"))
    with pytest.raises(DecodeError, match="track"):
        codec().decode(topics.transcripts, codec().encode(topics.transcripts, transcript(track="left")))


class FakeRegistry:
    """A registry in memory: the framing is under test here, not the HTTP client."""

    def __init__(self):
        self.ids = {}

    def id_of(self, topic, schema):
        return self.ids.setdefault(schema.name, len(self.ids) + 1)

    def schema_of(self, schema_id):
        return next(SCHEMAS.current[name].source for name, known in self.ids.items() if known == schema_id)


def test_confluent_framing_with_a_registry():
    codec = Codec(SCHEMAS, FakeRegistry())
    data = codec.encode(topics.transcripts, transcript())
    assert data[:5] == b"\x00\x00\x00\x00\x01"
    assert codec.decode(topics.transcripts, data) == transcript()


def test_a_registered_schema_that_is_no_record_is_refused():
    registry = FakeRegistry()
    registry.schema_of = lambda schema_id: "string"
    with pytest.raises(DecodeError, match=r"schema 7 .* no record"):
        Codec(SCHEMAS, registry).decode(topics.transcripts, b"\x00\x00\x00\x00\x07abc")


def test_what_the_registry_does_not_know_is_no_record_but_its_absence_says_nothing_of_the_message():
    class Registry(BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'{"error_code": 40403, "message": "Schema not found"}'
            self.send_response(404)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        registry = ConfluentRegistry(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(DecodeError, match=r"no schema 7.*not found"):
            registry.schema_of(7)
        server.shutdown()
    with pytest.raises(StreamsError, match="schema 7 cannot be looked up") as away:
        registry.schema_of(7)
    assert not isinstance(away.value, DecodeError)


def test_a_released_schema_is_still_read(tmp_path):
    source = dict(SCHEMAS.current["EndOfCall"].source)
    source["fields"] = [*source["fields"], {"name": "gone", "type": "int", "doc": "Was dropped later.", "default": 0}]
    released = tmp_path / "end_of_call.avsc"
    released.write_bytes(msgspec.json.encode(source))
    old = Schema.load(released)
    both = Codec(SchemaSet(SCHEMAS.current.values(), [old]))
    then = Codec(SchemaSet([old]))
    end = EndOfCall(call_id="c", stage="gateway", at_ms=1, duration_ms=2, reason="completed")
    assert both.decode(topics.audio, then.encode(topics.audio, end)) == end
