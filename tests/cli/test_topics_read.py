"""``voicestream topics read``: what is on a topic, a JSON object a line."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.processes import Topics
from tests.samples import transcript
from voicestream import topics
from voicestream.admin import create_topics
from voicestream.cli.main import app
from voicestream.codec import codec
from voicestream.embedded.broker import Broker
from voicestream.settings import settings

SAID = topics.transcripts.name


def read(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["topics", "read", *arguments])


def lines(*arguments: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in read(*arguments).stdout.splitlines()]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topics]:
    """Five transcripts of two calls, and what is no record, on a broker of our own."""
    with Broker(tmp_path_factory.mktemp("read") / "broker.log") as running, pytest.MonkeyPatch.context() as patch:
        asyncio.run(create_topics(running.bootstrap, {SAID: 2}, replication=1))
        written = Topics(running.bootstrap, codec())
        for number in range(5):
            written.send(topics.transcripts, transcript(call_id=f"c{number % 2}", number=number, text=f"text {number}"))
        written.send_raw(topics.transcripts, "c0", b"no Avro")
        patch.setenv("VOICESTREAM_BROKER", running.url)
        settings.cache_clear()
        yield written
    settings.cache_clear()


@pytest.mark.usefixtures("there")
def test_records_come_with_their_place_and_key_and_others_with_what_is_wrong() -> None:
    found = lines(SAID)
    assert sorted(line["Transcript"]["number"] for line in found if "Transcript" in line) == [0, 1, 2, 3, 4]
    first = next(line for line in found if line.get("Transcript", {}).get("number") == 0)
    assert (first["key"], first["offset"], first["Transcript"]["text"]) == ("c0", 0, "text 0")
    [bad] = [line for line in found if "error" in line]
    assert (bad["bytes"], bad["key"]) == (7, "c0")
    assert "no Avro framing" in str(bad["error"])


@pytest.mark.usefixtures("there")
def test_a_key_and_a_number_choose() -> None:
    assert [line["Transcript"]["number"] for line in lines(SAID, "--key", "c1")] == [1, 3]
    assert [line["Transcript"]["number"] for line in lines(SAID, "--key", "c1", "--limit", "1")] == [3]


def test_following_goes_on_with_what_comes(there: Topics, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "voicestream", "topics", "read", SAID, "--key", "later", "--follow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        there.send(topics.transcripts, transcript(call_id="later", number=9))
        assert reader.stdout is not None
        assert json.loads(reader.stdout.readline())["Transcript"]["number"] == 9
        reader.send_signal(signal.SIGINT)
        assert reader.wait(30) == 0


@pytest.mark.usefixtures("there")
def test_a_topic_that_is_not_there_is_an_error() -> None:
    result = read("voice.nothing")
    assert result.exit_code == 1
    assert "has no topic voice.nothing" in str(result.output) + str(result.exception)
