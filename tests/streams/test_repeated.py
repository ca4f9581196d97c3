"""What a library says over and over is said once in a while."""

import logging
import time

import pytest

from voicestream.streams.runtime.repeated import Repeated


@pytest.fixture
def log():
    logger = logging.getLogger("tests.repeated")
    limit = Repeated(every_s=0.2)
    logger.addFilter(limit)
    yield logger
    logger.removeFilter(limit)


def test_a_repeated_error_is_said_once_and_counted(log, caplog):
    for port in range(50):
        log.error("no answer of %d", port)
    log.error("something else")
    time.sleep(0.21)
    log.error("no answer of %d", 7)
    assert [record.getMessage() for record in caplog.records] == [
        "no answer of 0", "something else", "no answer of 7 (49 times more since it was last said)"
    ]  # fmt: skip


def test_news_are_not_held_back(log, caplog):
    caplog.set_level(logging.INFO)
    for n in range(3):
        log.info("joined %d", n)
    assert len(caplog.records) == 3
