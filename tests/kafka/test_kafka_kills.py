"""Workers that die, come and go on real Kafka: every reading counts once, in the state and in what is sent."""

import time

import pytest

from tests.kafka.support import Run, last, readings, truth
from tests.processes import wait_until

pytestmark = pytest.mark.timeout(180)


def test_a_worker_killed_again_and_again_counts_every_reading_once(run: Run) -> None:
    given = readings(0, 6_000)
    worker = run.worker("counting")
    with run.feeding(given, per_s=1_000):
        for sent in (300, 1_400, 2_700, 4_100, 5_500):
            run.wait_sent(sent)
            worker.kill()
            worker.start()
    run.wait_committed("counting", len(given))
    assert run.totals() == truth(given)
    assert run.state("counting") == last(truth(given))
    assert run.sent(run.topics.totals.name) >= len(given)  # mostly more: what a kill made the worker send again


def test_when_one_of_two_workers_is_killed_the_other_takes_over(run: Run) -> None:
    given = readings(0, 4_000)
    first, second = run.worker("counting", "first"), run.worker("counting", "second")
    with run.feeding(given, per_s=1_000):
        run.wait_sent(1_000)
        assert set(run.signed()) == {"first", "second"}
        first.kill()
    run.wait_committed("counting", len(given))
    assert run.totals() == truth(given)
    assert run.state("counting") == last(truth(given))
    assert second.alive


def test_a_second_worker_joins_and_leaves_while_readings_come(run: Run) -> None:
    given = readings(0, 6_000)
    first = run.worker("counting", "first")
    with run.feeding(given, per_s=1_000):
        run.wait_sent(500)
        second = run.worker("counting", "second")
        wait_until("both work", lambda: run.signed()["second"] >= 100)
        second.terminate()
        assert second.wait() == 0
    run.wait_committed("counting", len(given))
    assert run.totals() == truth(given)
    assert run.state("counting") == last(truth(given))
    assert run.sent(run.topics.totals.name) == len(given), "nobody died, so nothing was sent twice"
    for worker in (first, second):
        assert "Traceback" not in worker.said()


def test_a_worker_that_slept_while_another_took_its_place_spoils_nothing(run: Run) -> None:
    given = readings(0, 900)
    first = run.worker("slow", "first")
    run.kafka.send(run.topics.readings, *given[:300])
    time.sleep(1)
    first.freeze()  # in the middle of them, with nothing sent
    run.worker("slow", "second")
    run.kafka.send(run.topics.readings, *given[300:600])
    run.wait_committed("slow", 600)
    first.thaw()  # it goes on with what is not its work any more
    wait_until("both share", lambda: first.said().count("state is recovered") == 2)
    run.kafka.send(run.topics.readings, *given[600:])
    run.wait_committed("slow", len(given))
    assert run.totals() == truth(given)
    assert run.state("slow") == last(truth(given))
