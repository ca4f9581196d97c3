"""The stages that the tests run as workers: ``faust -A tests.kafka.agents_under_test:NAME worker``, NAME an app below.

The environment variable ``UNDER_TEST`` begins the name of every stage and topic, so that the tests of one broker keep
apart; ``UNDER_TEST_WORKER`` is the name by which a worker signs what it sends. A new operator is tested by adding a
stage and its app here, and to ``topics_of`` the topics that are new.
"""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from voicestream import ErrorPolicy, Stage, State, tumbling
from voicestream.streams.policies import Retry
from voicestream.streams.record import Record
from voicestream.streams.topic import Topic

SCHEMAS = Path(__file__).with_name("schemas")
RUN = os.environ.get("UNDER_TEST", "under-test")
WORKER = os.environ.get("UNDER_TEST_WORKER", "")


class Reading(Record, frozen=True, kw_only=True):
    """What a sensor says: ``number`` counts the readings of a sensor from 0."""

    sensor: str
    number: int
    value: int
    at_ms: int

    @property
    def key(self) -> str:
        return self.sensor


class Total(Record, frozen=True, kw_only=True):
    """How many readings of the sensor there were up to the reading ``number``, and their sum."""

    sensor: str
    number: int
    count: int
    sum: int
    worker: str

    @property
    def key(self) -> str:
        return self.sensor


class Tally(msgspec.Struct):
    count: int = 0
    sum: int = 0


@dataclass(frozen=True)
class Topics:
    """The topics of one run."""

    readings: Topic[Reading]
    totals: Topic[Total]


def topics_of(run: str) -> Topics:
    """The topics of the run of this name."""
    return Topics(Topic(f"{run}.readings", Reading, external=True), Topic(f"{run}.totals", Total))


topics = topics_of(RUN)


def total(reading: Reading, tally: Tally) -> Total:
    """The total after ``reading``."""
    return Total(sensor=reading.sensor, number=reading.number, count=tally.count, sum=tally.sum, worker=WORKER)


counting_stage = Stage(f"{RUN}-counting")
tallies = counting_stage.store("tallies", Tally)


@counting_stage.agent(topics.readings, out=topics.totals, state=tallies)
async def count(reading: Reading, state: State[Tally]) -> Total:
    tally = state.value = state.value or Tally()
    tally.count += 1
    tally.sum += reading.value
    return total(reading, tally)


counting = counting_stage.app()


slow_stage = Stage(f"{RUN}-slow")
slow_tallies = slow_stage.store("tallies", Tally)


@slow_stage.agent(topics.readings, out=topics.totals, state=slow_tallies)
async def count_slowly(reading: Reading, state: State[Tally]) -> Total:
    """As ``count``, at two hundred readings a second at most."""
    await asyncio.sleep(0.005)
    return await count(reading, state)


slow = slow_stage.app()


def checked(reading: Reading) -> Total:
    """A total of one reading; values below zero make trouble."""
    if reading.value < 0:
        raise ValueError(f"value {reading.value} is below zero")
    return total(reading, Tally(1, reading.value))


def checking(name: str, errors: ErrorPolicy) -> Stage:
    """A stage of one agent without state that calls ``checked``."""
    stage = Stage(f"{RUN}-{name}")

    @stage.agent(topics.readings, out=topics.totals, errors=errors)
    async def check(reading: Reading) -> Total:
        return checked(reading)

    return stage


lettering = checking("lettering", ErrorPolicy(process=Retry(2, backoff_ms=10))).app()
skipping = checking("skipping", ErrorPolicy(decode="skip", process="skip")).app()
failing = checking("failing", ErrorPolicy(process="fail")).app()


WINDOW_MS = 1_000
IDLE = os.environ.get("UNDER_TEST_IDLE", "5s")


def group_of(sensor: str) -> str:
    """Ten sensors are a group: ``group-7`` has those whose number ends with 7."""
    return f"group-{sensor[-1]}"


def added(tally: Tally, reading: Reading) -> Tally:
    return Tally(tally.count + 1, tally.sum + reading.value)


windowed_stage = Stage(f"{RUN}-windowed")
(
    windowed_stage.stream(topics.readings, time=lambda reading: reading.at_ms, idle=IDLE)
    .key_by(lambda reading: group_of(reading.sensor), name="by-group")
    .window(tumbling(WINDOW_MS), name="tallies")
    .aggregate(Tally, added)
    .final()
    .map(
        lambda window: Total(
            sensor=window.key,
            number=window.start_ms,
            count=window.value.count,
            sum=window.value.sum,
            worker=WORKER,
        ),
        type=Total,
    )
    .to(topics.totals)
)
windowed = windowed_stage.app()


expiring_stage = Stage(f"{RUN}-expiring")
expiring_stage.stream(topics.readings).count(name="tallies", ttl="4s")
expiring = expiring_stage.app()


joined_stage = Stage(f"{RUN}-joined")
_readings = joined_stage.stream(topics.readings, time=lambda reading: reading.at_ms, idle="5s")
_even, _odd = _readings.branch(lambda reading: reading.number % 2 == 0, lambda reading: True)


def paired(even: Reading | None, odd: Reading | None) -> Total:
    """The two readings of a pair: ``count`` says how many there were."""
    known = even or odd
    assert known is not None
    values = [reading.value for reading in (even, odd) if reading is not None]
    return Total(sensor=known.sensor, number=known.number // 2, count=len(values), sum=sum(values), worker=WORKER)


_even.outer_join(_odd, paired, within=(0, WINDOW_MS), name="pairs").to(topics.totals)
joined = joined_stage.app()
