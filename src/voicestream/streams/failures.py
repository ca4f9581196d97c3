"""What becomes of a message that an agent could not handle."""

import logging
import traceback
from typing import Literal

import msgspec

from voicestream.streams.clock import now_ms
from voicestream.streams.dead_letter import DeadLetter
from voicestream.streams.environment import Environment
from voicestream.streams.message import MAX_VALUE_BYTES, Message, Outgoing
from voicestream.streams.metrics import METRICS
from voicestream.streams.policies import Action

log = logging.getLogger(__name__)

Step = Literal["decode", "process", "produce"]

_MAX_TEXT = 20_000  # characters of the message and of the trace of an error


class Failures:
    """Applies the error policies of one agent: logs, counts, and writes dead letters."""

    def __init__(self, environment: Environment, stage: str, agent: str) -> None:
        self._environment = environment
        self._stage = stage
        self._agent = agent
        self._metrics = METRICS.of(stage, agent)

    def handle(self, action: Action, step: Step, message: Message, error: Exception, out: list[Outgoing]) -> None:
        """Do ``action`` for ``message``: a dead letter is appended to ``out``; raises ``error`` for ``fail``."""
        self._metrics.failed(step)
        if action == "fail":
            raise error
        where = f"{message.topic}[{message.partition}]@{message.offset}"
        log.error("stage %s, agent %s: %s of %s failed (%s): %s: %s", self._stage, self._agent, step, where, action,
                  type(error).__name__, error)  # fmt: skip
        if action == "dead_letter":
            out.append(self._letter(step, message, error))

    def _letter(self, step: Step, message: Message, error: Exception) -> Outgoing:
        letter = DeadLetter(
            letter_id=f"{self._stage}/{self._agent}/{message.topic}/{message.partition}/{message.offset}",
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            source_key=message.key,
            source_value=message.value,
            headers={name: value or b"" for name, value in message.headers},
            timestamp_ms=message.timestamp_ms,
            stage=self._stage,
            agent=self._agent,
            step=step,
            error=type(error).__name__,
            message=str(error)[:_MAX_TEXT],
            trace="".join(traceback.format_exception(error))[-_MAX_TEXT:],
            at_ms=now_ms(),
        )
        topic = self._environment.dead_letters
        value = self._environment.codec.encode(topic, letter)
        if len(value) > MAX_VALUE_BYTES:
            size = len(message.value or b"")
            letter = msgspec.structs.replace(
                letter, source_value=None, message=f"{letter.message} (the value, {size} bytes, is left out)"
            )
            value = self._environment.codec.encode(topic, letter)
        return Outgoing(topic.name, message.key or letter.key.encode(), value, letter.at_ms)
