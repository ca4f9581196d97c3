"""One Kafka broker for all tests of this folder; they keep apart by the names of their topics and groups."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka.broker import START_QUICKLY, KafkaBroker, reason_not_available
from tests.kafka.support import Run


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaBroker]:
    reason = reason_not_available()
    if reason is not None:
        pytest.skip(reason)
    with KafkaBroker(java_options=START_QUICKLY) as broker:
        yield broker


@pytest.fixture
def run(kafka: KafkaBroker, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    """Workers and topics whose names begin with that of the test; the workers end with it."""
    name = re.sub(r"\W+", "-", request.node.name.removeprefix("test_"))[:60].strip("-")
    running = Run(name, kafka, tmp_path)
    try:
        yield running
    finally:
        running.stop()
