"""What becomes of a message that an agent could not handle."""

import hashlib
import logging
import traceback

import msgspec

from voicestream.streams.clock import now_ms
from voicestream.streams.dead_letter import DeadLetter
from voicestream.streams.message import MAX_VALUE_BYTES, Message, Outgoing
from voicestream.streams.policies import Action, Step
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.metrics import METRICS

log = logging.getLogger(__name__)

_MAX_TEXT = 20_000  # characters of the message and of the trace of an error


VALUE_LEFT_OUT = "is left out)"
"""How the message of a letter ends that could not hold the value too."""

NOWHERE = -1
"""The offset, and the partition where the key was to decide, of a message that its topic did not take."""


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
        about = {"stage": self._stage, "agent": self._agent, "step": step, "topic": message.topic,
                 "partition": message.partition, "offset": message.offset, "key": message.key_text}  # fmt: skip
        log.error("stage %s, agent %s: %s of %s failed (%s): %s: %s", self._stage, self._agent, step, where, action,
                  type(error).__name__, error, extra=about)  # fmt: skip
        if action == "dead_letter":
            out.append(self._letter(step, message, error))

    def refused(self, action: Action, message: Outgoing, error: Exception, out: list[Outgoing]) -> None:
        """Do ``action`` for a message that the broker refused.

        Its letter holds the message as it was to be sent: what it came from has been processed, and is in the state.
        Raises ``error`` for ``fail``, and for a dead letter, which has nowhere else to go.
        """
        if message.topic == self._environment.dead_letters.name:
            raise error
        partition = NOWHERE if message.partition is None else message.partition
        unsent = Message(
            message.topic, partition, NOWHERE, message.timestamp_ms, message.key, message.value, message.headers
        )
        self.handle(action, "produce", unsent, error, out)

    def _letter(self, step: Step, message: Message, error: Exception) -> Outgoing:
        place = _digest(message) if message.offset == NOWHERE else f"{message.partition}/{message.offset}"
        letter = DeadLetter(
            letter_id=f"{self._stage}/{self._agent}/{message.topic}/{place}",
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
                letter, source_value=None, message=f"{letter.message} (the value of {size} bytes {VALUE_LEFT_OUT}"
            )
            value = self._environment.codec.encode(topic, letter)
        return Outgoing(topic.name, message.key or letter.key.encode(), value, letter.at_ms)


def _digest(message: Message) -> str:
    """The same for the same message, so that a replay writes no second letter."""
    return hashlib.blake2b((message.key or b"") + b"\0" + (message.value or b""), digest_size=8).hexdigest()
