"""The calls that the demo plays: the scripted ones, whose truth is known, or files of the user."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import voicestream
from voicestream.client import Call, Protocol
from voicestream.errors import EmbeddedError
from voicestream.records import Track

RAW_EVERY = 3  # of the scripted calls one in three comes over our own protocol, the others as Twilio sends them


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What one side says, and when, in milliseconds from the start of the call."""

    track: Track
    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A signal that the script has put into a turn."""

    kind: str
    label: str
    turn: Turn


@dataclass(frozen=True, kw_only=True)
class DemoCall:
    """A call to be played and, where it is scripted, what is really in it."""

    title: str
    call: Call
    protocol: Protocol
    reference: list[Turn] | None = None
    planted: list[Planted] = field(default_factory=list)


def scripted_calls(number: int) -> list[DemoCall]:
    """``number`` scripted calls, the same ones again under new ids where there are not so many.

    Raises ``EmbeddedError`` when the scripts are not installed.
    """
    paths = sorted((_examples() / "calls").glob("*.yaml"))
    return [_scripted(paths[index % len(paths)], index) for index in range(number)]


def recorded_calls(files: Sequence[Path]) -> list[DemoCall]:
    """A call of each file: stereo as Twilio sends it, mono (one track) over our own protocol.

    Raises ``AudioFileError`` when one is no audio.
    """
    calls = [Call.of_file(path, metadata={"file": path.name}) for path in files]
    return [
        DemoCall(title=path.name, call=call, protocol="raw" if "mono" in call.frames else "twilio")
        for path, call in zip(files, calls, strict=True)
    ]


def catalogue() -> Path:
    """The products and competitors that the scripted calls speak of."""
    return _examples() / "catalogue.yaml"


def _examples() -> Path:
    """``examples`` inside the installed package, or at the root of a checkout."""
    package = Path(voicestream.__file__).parent
    for root in (package, package.parents[1]):
        examples = root / "examples"
        if any(examples.glob("calls/audio/*.wav")):
            return examples
    raise EmbeddedError(
        f"the scripted calls are not installed (no examples/calls with audio in {package}): give files of your own "
        "with --audio, or run the demo in a clone of the repository"
    )


def _scripted(path: Path, index: int) -> DemoCall:
    script: dict[str, Any] = yaml.safe_load(path.read_text())
    audio = path.parent / "audio" / path.stem
    truth = json.loads(audio.with_suffix(".truth.json").read_text())
    turns = [Turn(**{name: turn[name] for name in ("track", "start_ms", "end_ms", "text")}) for turn in truth["turns"]]
    planted = [
        Planted(kind=insight["kind"], label=insight.get("label", ""), turn=turn)
        for turn, written in zip(turns, script["turns"], strict=True)
        for insight in written.get("insights", [])
    ]
    call = Call.of_file(
        audio.with_suffix(".wav"),
        call_id=f"{path.stem}-{uuid.uuid4().hex[:8]}",
        queue=script["queue"],
        agent=script["agent"]["name"],
        customer=script["customer"]["name"],
        metadata={name: str(value) for name, value in script["metadata"].items()},
    )
    protocol: Protocol = "raw" if index % RAW_EVERY == 1 else "twilio"
    return DemoCall(title=script["title"], call=call, protocol=protocol, reference=turns, planted=planted)
