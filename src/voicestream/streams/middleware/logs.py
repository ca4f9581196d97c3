"""Logs as JSON lines, each with the stage, the agent and the records that were in work when it was written."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from voicestream.streams.message import Outgoing
from voicestream.streams.middleware.base import Call, Proceed

_MAX_KEYS = 20  # of a batch that are named

_current: ContextVar[Call | None] = ContextVar("call", default=None)


async def bind_logs(call: Call, proceed: Proceed) -> list[Outgoing]:
    """Let what is logged during the call say what it is about; see ``JsonFormatter``."""
    token = _current.set(call)
    try:
        return await proceed()
    finally:
        _current.reset(token)


class JsonFormatter(logging.Formatter):
    """One JSON object a line.

    ``at`` (ISO 8601, UTC), ``level``, ``logger``, ``message``, ``error`` with ``trace``, what was given as ``extra``,
    and during a call of an agent ``stage``, ``agent``, and ``topic``, ``partition``, ``offset`` and ``key`` of its
    record, or ``records`` and ``keys`` of its batch.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        call = _current.get()
        if call is not None:
            line |= _about(call)
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


_STANDARD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime"})


def _about(call: Call) -> dict[str, Any]:
    about: dict[str, Any] = {"stage": call.stage, "agent": call.agent}
    if len(call.events) == 1:
        message = call.events[0].message
        place = {"topic": message.topic, "partition": message.partition, "offset": message.offset}
        return about | place | {"key": message.key_text}
    keys = dict.fromkeys(event.message.key_text for event in call.events)
    return about | {"records": len(call.events), "keys": list(keys)[:_MAX_KEYS]}
