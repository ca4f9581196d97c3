"""Records, topics and a driver that know nothing of voice, for the tests of the operators."""

from pathlib import Path
from typing import Any

from voicestream.streams.avro.codec import Codec
from voicestream.streams.avro.schemas import SchemaSet
from voicestream.streams.dead_letter import DeadLetter, LetterReplay
from voicestream.streams.record import Record
from voicestream.streams.stage import Stage
from voicestream.streams.state.store import Backend
from voicestream.streams.testing import TopologyTestDriver
from voicestream.streams.topic import Topic
from voicestream.streams.windows import Windowed

ROOT = Path(__file__).parents[2]
CODEC = Codec(SchemaSet.of_folders(Path(__file__).parent / "schemas", ROOT / "schemas"))


class Click(Record):
    user: str
    page: str
    value: int
    at_ms: int

    @property
    def key(self) -> str:
        return self.user


class Total(Record):
    user: str
    start_ms: int
    end_ms: int
    value: int
    final: bool

    @property
    def key(self) -> str:
        return self.user

    @classmethod
    def of(cls, window: Windowed[int]) -> "Total":
        return cls(
            user=window.key, start_ms=window.start_ms, end_ms=window.end_ms, value=window.value, final=window.final
        )


class Profile(Record):
    user: str
    name: str

    @property
    def key(self) -> str:
        return self.user


class Pair(Record):
    user: str
    left: str | None
    right: str | None
    at_ms: int

    @property
    def key(self) -> str:
        return self.user


clicks: Topic[Click] = Topic("clicks", Click)
views: Topic[Click] = Topic("views", Click)
totals: Topic[Total] = Topic("totals", Total)
profiles: Topic[Profile] = Topic("profiles", Profile)
pairs: Topic[Pair] = Topic("pairs", Pair)
late: Topic[Click] = Topic("late", Click)
letters: Topic[DeadLetter | LetterReplay] = Topic("letters", DeadLetter, LetterReplay)


def at(record: Click) -> int:
    return record.at_ms


def click(at_ms: int, value: int = 1, user: str = "u", page: str = "p") -> Click:
    return Click(user=user, page=page, value=value, at_ms=at_ms)


backend: Backend = "memory"
"""Where the driver keeps the stores: ``tests/streams/operators`` runs with both."""


def drive(*stages: Stage, start_ms: int = 0) -> TopologyTestDriver:
    return TopologyTestDriver(*stages, codec=CODEC, dead_letters=letters, start_ms=start_ms, state=backend)


def values(topic: Any) -> list[int]:
    return [record.value for record in topic]
