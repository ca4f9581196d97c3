"""The scripted calls of the demo: their scripts are sound, and their audio and truth say the same as they do."""

import json
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from numpy.typing import NDArray

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((EXAMPLES / "calls").glob("*.yaml"))}
CATALOGUE = yaml.safe_load((EXAMPLES / "catalogue.yaml").read_text())
KINDS = {
    "competitor",
    "price",
    "objection",
    "buying_signal",
    "next_step",
    "churn_risk",
    "question",
    "commitment",
    "compliance",
    "entity",
}
ENTITY_LABELS = {"money", "date", "product"}
EMOTIONS = {"anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral"}
OUTCOMES = {"sale", "lost", "resolved", "escalated", "callback", "cancelled"}
QUEUES = {"sales", "support", "billing", "retention"}
TRACKS = ("agent", "customer")
WAVE_FORMAT_MULAW = 7

every_call = pytest.mark.parametrize("name", list(SCRIPTS))


def insights_of(script: dict[str, Any]) -> list[dict[str, Any]]:
    return [insight for turn in script["turns"] for insight in turn.get("insights", [])]


def truth_of(name: str) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads((EXAMPLES / "calls" / "audio" / f"{name}.truth.json").read_text())
    return truth


def audio_of(name: str) -> NDArray[np.float64]:
    audio: NDArray[np.float64] = soundfile.read(EXAMPLES / "calls" / "audio" / f"{name}.wav", always_2d=True)[0]
    return audio


def rms_db(samples: NDArray[np.float64]) -> float:
    return float(10 * np.log10(np.mean(samples**2) + 1e-12))


def test_there_are_at_least_eight_calls_and_every_queue_and_outcome_is_among_them() -> None:
    assert len(SCRIPTS) >= 8
    assert {script["queue"] for script in SCRIPTS.values()} == QUEUES
    assert {script["outcome"] for script in SCRIPTS.values()} == OUTCOMES


def test_every_insight_kind_and_entity_label_is_planted_at_least_twice() -> None:
    planted = [insight for script in SCRIPTS.values() for insight in insights_of(script)]
    kinds = Counter(insight["kind"] for insight in planted)
    labels = Counter(insight["label"] for insight in planted if insight["kind"] == "entity")
    assert set(kinds) == KINDS
    assert set(labels) == ENTITY_LABELS
    assert min((kinds | labels).values()) >= 2
    assert len(planted) >= 30


def test_at_least_a_third_of_the_turns_is_plain() -> None:
    turns = [turn for script in SCRIPTS.values() for turn in script["turns"]]
    assert sum("insights" not in turn for turn in turns) >= len(turns) / 3


def test_customers_show_every_mood_but_disgust() -> None:
    emotions = {turn.get("emotion") for script in SCRIPTS.values() for turn in script["turns"]} - {None}
    assert emotions == EMOTIONS - {"disgust"}


@every_call
def test_a_script_has_sound_turns(name: str) -> None:
    script = SCRIPTS[name]
    assert script["call_id"] == name
    for turn in script["turns"]:
        assert turn["track"] in TRACKS
        assert ("polarity" in turn) == (turn["track"] == "customer")
        assert turn.get("polarity", "neutral") in {"positive", "neutral", "negative"}
        assert turn.get("emotion", "neutral") in EMOTIONS
        assert "spoken" in turn or not any(letter.isdigit() for letter in turn["text"])


@every_call
def test_what_an_insight_names_is_in_the_text_and_in_the_catalogue(name: str) -> None:
    products = {product["name"]: product["id"] for product in CATALOGUE["products"]}
    competitors = {competitor["name"] for competitor in CATALOGUE["competitors"]}
    for turn in SCRIPTS[name]["turns"]:
        for insight in turn.get("insights", []):
            value = insight.get("value", "")
            assert value in turn["text"]
            match insight:
                case {"kind": "competitor"}:
                    assert value in competitors
                case {"kind": "entity", "label": "product"}:
                    assert products[value] in SCRIPTS[name]["products"]
                case {"kind": "entity"}:
                    assert value
                case _:
                    assert insight["what"] if insight["kind"] != "objection" else insight["label"]


@every_call
def test_the_truth_says_what_the_script_says(name: str) -> None:
    script, truth = SCRIPTS[name], truth_of(name)
    assert truth["call_id"] == name
    said = [(turn["track"], turn["text"]) for turn in script["turns"]]
    assert [(turn["track"], turn["text"]) for turn in truth["turns"]] == said
    before = 0
    for turn, times in zip(script["turns"], truth["turns"], strict=True):
        assert times["start_ms"] == pytest.approx(before + turn["pause"] * 1000, abs=2)
        assert times["start_ms"] < times["end_ms"] <= truth["duration_ms"]
        before = times["end_ms"]


@every_call
def test_the_audio_is_what_a_telephone_line_carries(name: str) -> None:
    header = (EXAMPLES / "calls" / "audio" / f"{name}.wav").read_bytes()[:40]
    at = header.index(b"fmt ") + 8
    assert struct.unpack_from("<HHI", header, at) == (WAVE_FORMAT_MULAW, 2, 8000)
    audio = audio_of(name)
    assert 30 <= len(audio) / 8000 <= 90
    assert len(audio) / 8 == pytest.approx(truth_of(name)["duration_ms"], abs=1)
    assert np.abs(audio).max() < 0.95


@every_call
def test_each_channel_has_speech_where_the_truth_says_and_noise_elsewhere(name: str) -> None:
    audio, turns = audio_of(name), truth_of(name)["turns"]
    for channel, track in enumerate(TRACKS):
        spans = [slice(turn["start_ms"] * 8, turn["end_ms"] * 8) for turn in turns if turn["track"] == track]
        speech = np.zeros(len(audio), bool)
        for span in spans:
            speech[span.start : span.stop + 16] = True  # the times are rounded down to milliseconds
        quiet = audio[~speech, channel]
        noise = rms_db(quiet)
        assert max(rms_db(part) for part in np.array_split(quiet, len(quiet) // 800)) < noise + 3
        for span in spans:
            said = audio[span, channel]
            assert noise + 18 < rms_db(said) < noise + 40
            assert min(rms_db(said[:1600]), rms_db(said[-1600:])) > noise + 3
