"""What a worker finds again on real Kafka: its state after a restart, its partitions after a pause or an outage."""

import time

import pytest

from tests.kafka.broker import KafkaBroker
from tests.kafka.support import PARTITIONS, Run, last, readings, truth
from tests.processes import wait_until

pytestmark = pytest.mark.timeout(180)


def test_topics_have_the_partitions_of_the_settings_and_changelogs_are_compacted(run: Run) -> None:
    run.worker("counting")
    found = {name: len(topic.partitions) for name, topic in run.admin.list_topics(timeout=30).topics.items()}
    changelog = f"{run.name}-counting-tallies-changelog"
    for name in (run.topics.readings.name, run.topics.totals.name, changelog, "voice.dlq"):
        assert found[name] == PARTITIONS, name
    assert run.config(changelog)["cleanup.policy"] == "compact"
    assert run.config(run.topics.totals.name)["cleanup.policy"] == "delete"


def test_state_comes_back_from_a_changelog_that_kafka_has_compacted(run: Run) -> None:
    given = readings(0, 3_000)
    worker = run.worker("counting")
    changelog = f"{run.name}-counting-tallies-changelog"
    run.configure(changelog, {"segment.ms": "200", "min.cleanable.dirty.ratio": "0.01"})
    with run.feeding(given[:2_000], per_s=1_000):
        pass
    run.wait_committed("counting", 2_000)
    worker.terminate()
    assert worker.wait() == 0
    wait_until("compacted", lambda: len(run.messages(changelog)) < run.sent(changelog))
    worker.start()
    run.kafka.send(run.topics.readings, *given[2_000:])
    run.wait_committed("counting", len(given))
    assert run.totals() == truth(given)
    assert run.state("counting") == last(truth(given))
    assert "Traceback" not in worker.said()


def test_a_worker_that_had_nothing_to_do_goes_on_at_once(run: Run) -> None:
    given = readings(0, 20, sensors=20)
    run.worker("counting")
    time.sleep(5)  # several session time-outs
    for number, reading in enumerate(given):
        started = time.monotonic()
        run.kafka.send(run.topics.readings, reading)
        run.wait_sent(number + 1)
        assert time.monotonic() - started < 1.0
    assert run.totals() == truth(given)


def test_a_broker_that_was_killed_and_came_back_costs_no_reading(run: Run, kafka: KafkaBroker) -> None:
    given = readings(0, 4_000)
    worker = run.worker("counting")
    with run.feeding(given, per_s=1_000):
        run.wait_sent(1_000)
        kafka.kill()
        time.sleep(1)
        kafka.start()
    run.wait_committed("counting", len(given))
    assert run.totals() == truth(given)
    assert run.state("counting") == last(truth(given))
    assert worker.alive
    said = [line for line in worker.said().splitlines() if "[ERROR]" in line]
    assert len(said) < 30, "an outage of some seconds is no reason to fill the log"
