"""The product as it is, on real Kafka: a stretch of a call through gateway, every stage and ClickHouse."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from tests.kafka.broker import KafkaBroker
from tests.kafka.support import PARTITIONS

pytestmark = pytest.mark.timeout(240)

CALL = Path(__file__).parents[2] / "examples" / "calls" / "audio" / "02-third-outage.wav"
FROM_S, SECONDS = 21.4, 7.0


def test_a_call_comes_out_complete_and_once(kafka: KafkaBroker, tmp_path: Path) -> None:
    samples, rate = soundfile.read(CALL, dtype="int16")
    soundfile.write(tmp_path / "call.wav", samples[int(FROM_S * rate) : int((FROM_S + SECONDS) * rate)], rate)
    settings = {
        "VOICESTREAM_BROKER": kafka.url,
        "VOICESTREAM_PARTITIONS": str(PARTITIONS),  # those of the dead letters, which all tests share
        "VOICESTREAM_CLICKHOUSE": str(tmp_path / "clickhouse"),
        "VOICESTREAM_GATEWAY_PORT": "0",
        "OMP_NUM_THREADS": "1",
    }
    report = tmp_path / "report.json"
    arguments = ["demo", "--audio", str(tmp_path / "call.wav"), "--report", str(report)]
    done = subprocess.run(
        [sys.executable, "-m", "voicestream", *arguments],
        cwd=tmp_path,
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [call] = json.loads(report.read_text())["calls"]
    said = {track: [u["text"] for u in call["utterances"] if u["track"] == track] for track in ("customer", "agent")}
    assert said["customer"] == ["I run a business from home.", "I lost $400 because of you."]
    assert len(said["agent"]) == 1
    assert [decision["rule"] for decision in call["routing"]] == ["angry-customer"]
    assert call["summary"]["state"] == "ended"
    assert "1 calls and 3 utterances, 0 of them twice" in done.stdout
