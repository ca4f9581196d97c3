"""Test a stage in milliseconds, without a broker."""

from voicestream import topics
from voicestream.codec import codec
from voicestream.streams.stage import Stage
from voicestream.streams.testing import TopologyTestDriver as StreamsDriver


class TopologyTestDriver(StreamsDriver):
    """The driver with voicestream's codec and dead-letter topic."""

    def __init__(self, *stages: Stage, start_ms: int = 1_700_000_000_000) -> None:
        super().__init__(*stages, codec=codec(), dead_letters=topics.dlq, start_ms=start_ms)
