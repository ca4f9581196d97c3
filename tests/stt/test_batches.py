"""Work of several threads in batches."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from voicestream.stt.batches import Batches, workers_for


class Worker:
    """Doubles numbers, keeps what it got, and holds the first batch until it is let go."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.began = threading.Event()
        self.go = threading.Event()

    def __call__(self, batch: list[int]) -> list[int]:
        self.seen.append(batch)
        self.began.set()
        assert self.go.wait(5)
        if 13 in batch:
            raise ValueError("unlucky")
        return [2 * number for number in batch]


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def batches(worker: Worker) -> Iterator[Batches[int, int]]:
    """Even and odd numbers apart, four at a time."""
    batches = Batches[int, int]([worker], largest=4, alike=lambda number: number % 2, name="test")
    yield batches
    worker.go.set()
    batches.close()


def test_one_item_is_done_at_once(batches: Batches[int, int], worker: Worker) -> None:
    worker.go.set()
    [future] = batches.submit([21])
    assert future.result(5) == 42


def test_what_waits_at_the_same_time_is_done_together(batches: Batches[int, int], worker: Worker) -> None:
    first = batches.submit([0])
    assert worker.began.wait(5)
    with ThreadPoolExecutor(8) as pool:
        futures = [
            future for of_thread in pool.map(lambda n: batches.submit([n]), range(2, 18, 2)) for future in of_thread
        ]
    worker.go.set()
    assert [future.result(5) for future in [*first, *futures]] == [0, *range(4, 36, 4)]
    assert [len(batch) for batch in worker.seen] == [1, 4, 4]


def test_the_oldest_comes_first_with_those_like_it(batches: Batches[int, int], worker: Worker) -> None:
    batches.submit([0])
    assert worker.began.wait(5)
    futures = batches.submit([1, 2, 3, 4, 5])
    worker.go.set()
    assert [future.result(5) for future in futures] == [2, 4, 6, 8, 10]
    assert worker.seen == [[0], [1, 3, 5], [2, 4]]


def test_free_workers_share_what_comes() -> None:
    workers = [Worker(), Worker()]
    batches = Batches[int, int](workers, largest=8, alike=lambda number: None, name="test")
    futures = batches.submit([1, 2, 3, 4])
    assert all(worker.began.wait(5) for worker in workers)
    for worker in workers:
        worker.go.set()
    assert [future.result(5) for future in futures] == [2, 4, 6, 8]
    assert sorted(worker.seen[0] for worker in workers)[0][0] == 1
    batches.close()


def test_an_error_reaches_its_batch_alone(batches: Batches[int, int], worker: Worker) -> None:
    worker.go.set()
    [unlucky] = batches.submit([13])
    with pytest.raises(ValueError, match="unlucky"):
        unlucky.result(5)
    [future] = batches.submit([1])
    assert future.result(5) == 2


def test_close_does_what_waits_and_takes_no_more(worker: Worker) -> None:
    batches = Batches[int, int]([worker], largest=4, alike=lambda number: None, name="test")
    futures = batches.submit([1, 2, 3])
    worker.go.set()
    batches.close()
    assert [future.result(0) for future in futures] == [2, 4, 6]
    with pytest.raises(RuntimeError, match="closed"):
        batches.submit([4])


def test_there_are_no_more_workers_than_clips() -> None:
    assert workers_for(1, 1) == 1
    assert workers_for(1000, 1000) == 1
