"""Messages that cannot be read or processed, with each error policy, on real Kafka."""

import msgspec
import pytest

from tests.kafka.agents_under_test import Reading
from tests.kafka.support import Run, readings
from voicestream import topics

pytestmark = pytest.mark.timeout(180)


def with_bad_ones() -> tuple[list[Reading], set[tuple[str, int]]]:
    """Three hundred readings, and which of them are bad."""
    given = [r if n % 50 else msgspec.structs.replace(r, value=-1) for n, r in enumerate(readings(0, 300))]
    return given, {(r.sensor, r.number) for r in given if r.value < 0}


def test_what_cannot_be_handled_becomes_a_dead_letter_and_the_rest_goes_on(run: Run) -> None:
    given, bad = with_bad_ones()
    worker = run.worker("lettering")
    where = run.kafka.send_raw(run.topics.readings, "sensor-0", b"\x07 no Avro")
    run.kafka.send(run.topics.readings, *given)
    run.wait_committed("lettering", len(given) + 1)
    assert set(run.totals()) == {(r.sensor, r.number) for r in given} - bad
    letters = [r for r in run.kafka.everything(topics.dlq) if r.topic == run.topics.readings.name]
    unread = [letter for letter in letters if letter.step == "decode"]
    assert [(letter.partition, letter.offset, letter.source_value) for letter in unread] == [(*where, b"\x07 no Avro")]
    failed = [letter for letter in letters if letter.step == "process"]
    assert {run.reading(letter) for letter in failed} == bad
    assert len(failed) == len(bad)
    assert {letter.error for letter in failed} == {"ValueError"}
    assert "Traceback" not in worker.said()


def test_what_is_to_be_skipped_leaves_no_trace_but_in_the_log(run: Run) -> None:
    given, bad = with_bad_ones()
    worker = run.worker("skipping")
    run.kafka.send_raw(run.topics.readings, "sensor-0", b"\x07 no Avro")
    run.kafka.send(run.topics.readings, *given)
    run.wait_committed("skipping", len(given) + 1)
    assert set(run.totals()) == {(r.sensor, r.number) for r in given} - bad
    assert not [r for r in run.kafka.everything(topics.dlq) if r.topic == run.topics.readings.name]
    assert worker.said().count("is below zero") >= len(bad)


def test_a_worker_that_is_to_fail_ends_and_does_not_commit_what_it_could_not_do(run: Run) -> None:
    good, bad = readings(0, 100), msgspec.structs.replace(readings(100, 101)[0], value=-1)
    worker = run.worker("failing")
    run.kafka.send(run.topics.readings, *good)
    run.wait_committed("failing", len(good))
    run.kafka.send(run.topics.readings, bad)
    assert worker.wait() != 0
    worker.start()
    assert worker.wait() != 0
    assert run.committed("failing") == len(good)
    assert "value -1 is below zero" in worker.said()
