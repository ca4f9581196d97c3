"""Windows and joins on real Kafka: every reading counts once, however often a worker is killed."""

from collections import Counter

import pytest

from tests.kafka.agents_under_test import WINDOW_MS, Reading, Tally, added, group_of
from tests.kafka.support import PARTITIONS, Run, Totals, readings
from tests.processes import wait_until

pytestmark = pytest.mark.timeout(240)

START_MS = 1_700_000_000_000
END_MS = START_MS + 3_600_000


def timed(count: int) -> list[Reading]:
    """Readings of all sensors in turn, a hundred of them in a second of event time."""
    return [
        Reading(sensor=r.sensor, number=r.number, value=r.value, at_ms=START_MS + n * 10)
        for n, r in enumerate(readings(0, count))
    ]


def end_of_time() -> list[Reading]:
    """A reading of every sensor, so of every partition, that closes all windows before it."""
    return [Reading(sensor=f"sensor-{n}", number=99_999, value=0, at_ms=END_MS) for n in range(100)]


def windows(given: list[Reading]) -> Totals:
    """Count and sum of each window of each group."""
    tallies: dict[tuple[str, int], Tally] = {}
    for reading in given:
        key = group_of(reading.sensor), reading.at_ms // WINDOW_MS * WINDOW_MS
        tallies[key] = added(tallies.get(key, Tally()), reading)
    return {key: (tally.count, tally.sum) for key, tally in tallies.items()}


def closed(run: Run) -> Totals:
    return {key: total for key, total in run.totals().items() if key[1] < END_MS}


def test_windows_behind_a_repartition_count_once_though_the_worker_is_killed_again_and_again(run: Run) -> None:
    given = timed(6_000)
    worker = run.worker("windowed")
    with run.feeding(given, per_s=1_000):
        for sent in (30, 110, 200, 290):
            run.wait_sent(sent)
            worker.kill()
            worker.start()
    run.wait_committed("windowed", len(given))
    run.kafka.send(run.topics.readings, *end_of_time())
    truth = windows(given)
    wait_until("all windows", lambda: len(closed(run)) >= len(truth))
    assert closed(run) == truth


def test_two_workers_share_windows_and_one_that_dies_loses_none(run: Run) -> None:
    given = timed(4_000)
    first, _ = run.worker("windowed", "first"), run.worker("windowed", "second")
    with run.feeding(given, per_s=1_000):
        run.wait_sent(100)
        first.kill()
    run.wait_committed("windowed", len(given))
    run.kafka.send(run.topics.readings, *end_of_time())
    truth = windows(given)
    wait_until("all windows", lambda: len(closed(run)) >= len(truth))
    assert closed(run) == truth


def test_a_join_of_streams_pairs_each_reading_once_though_the_worker_is_killed(run: Run) -> None:
    given = [reading for reading in timed(4_000) if reading.number % 10]  # every tenth has lost its even partner
    worker = run.worker("joined")
    with run.feeding(given, per_s=1_000):
        for sent in (300, 900, 1_400):
            run.wait_sent(sent)
            worker.kill()
            worker.start()
    run.wait_committed("joined", len(given))
    run.kafka.send(run.topics.readings, *end_of_time())
    pairs: Counter[tuple[str, int]] = Counter()
    sums: Counter[tuple[str, int]] = Counter()
    for reading in given:
        pairs[reading.sensor, reading.number // 2] += 1
        sums[reading.sensor, reading.number // 2] += reading.value
    truth = {key: (count, sums[key]) for key, count in pairs.items()}
    wait_until("all pairs", lambda: len(run.totals()) >= len(truth))
    assert {key: total for key, total in run.totals().items() if key[1] < 49_999} == truth
    assert PARTITIONS > 1
