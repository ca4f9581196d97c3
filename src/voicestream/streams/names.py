"""Names that a broker takes: of topics, and of the stages and stores of which topics are named."""

import re

from voicestream.streams.errors import TopologyError

_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")


def checked(what: str, name: str) -> str:
    """``name``, if a topic may have it in its name; raises ``TopologyError`` else."""
    if not _NAME.fullmatch(name) or name in (".", ".."):
        raise TopologyError(f"{what} {name!r}: Kafka's names have letters, digits, '.', '_' and '-', at most 249")
    return name
