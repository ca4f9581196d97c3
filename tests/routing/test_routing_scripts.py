"""The example calls, from script to decision: what each was written for is decided."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from routing_support import CALL, START_MS, at, mood, play, started

from voicestream.insights import CallContext, extract_all, load_extractors
from voicestream.records import Transcript
from voicestream.routing import RoutingRecord, load_rules
from voicestream.settings import Settings

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted((EXAMPLES / "calls").glob("*.yaml"))
POLARITY = {"negative": -0.7, "neutral": 0.0, "positive": 0.7}


def records(script: dict[str, Any]) -> list[RoutingRecord]:
    """The records of the call, as perfect recognition and perfect moods would make them."""
    extractors = load_extractors(Settings(catalogue=EXAMPLES / "catalogue.yaml"))
    played: list[RoutingRecord] = [started(queue=script["queue"])]
    for number, turn in enumerate(script["turns"]):
        seconds = 5 * (number + 1)
        emotion = turn.get("emotion", "neutral")
        polarity = POLARITY[turn.get("polarity", "neutral")]
        played.append(mood(number, seconds, polarity, turn["track"], emotion=emotion, emotions={emotion: 0.8}))
        transcript = Transcript(
            call_id=CALL,
            utterance_id=f"{CALL}/{turn['track']}/{number}",
            track=turn["track"],
            number=number,
            start_ms=seconds * 1000,
            end_ms=seconds * 1000 + 3000,
            at_ms=at(seconds),
            text=turn["text"],
            confidence=1.0,
            language="en",
            engine="script",
            inference_ms=0.0,
        )
        played += extract_all(transcript, CallContext(started_at_ms=START_MS), extractors)
    return played


@pytest.mark.skipif(not SCRIPTS, reason="the repository has no example calls")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_decisions_that_a_call_was_written_for_are_made(path: Path) -> None:
    script = yaml.safe_load(path.read_text(encoding="utf-8"))
    actions = {decision.action for decision in play(load_rules(), *records(script))}
    assert {wanted["action"] for wanted in script["routing"]} <= actions
    # The packaged rules also watch what the scripts do not speak of; of these they must not alarm anybody for nothing.
    unexpected = actions - {wanted["action"] for wanted in script["routing"]}
    assert unexpected <= {"alert_supervisor", "compliance_alert", "sales_coach"}
