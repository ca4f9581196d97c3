"""What waits for an agent, and how far its source partitions may be committed."""

from collections import Counter, deque
from collections.abc import Sequence

from voicestream.streams.message import Message, TopicPartition


class FifoQueue:
    """Messages in the order in which they came: for an agent that runs one call at a time."""

    def __init__(self) -> None:
        self._waiting: deque[Message] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, message: Message) -> None:
        self._waiting.append(message)

    def take(self, limit: int) -> list[Message]:
        """Up to ``limit`` messages that may be processed now."""
        return [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]

    def done(self, messages: Sequence[Message]) -> None:
        """The messages have been processed."""

    def clear(self) -> None:
        self._waiting.clear()


class KeyedQueue:
    """Messages by key, one of a key at a time and the keys in turn: for an agent that runs several calls at once."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, deque[Message]] = {}
        self._ready: deque[bytes] = deque()
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def push(self, message: Message) -> None:
        key = message.key or b""
        waiting = self._by_key.get(key)
        if waiting is None:
            self._by_key[key] = deque((message,))
            self._ready.append(key)
        else:
            waiting.append(message)
        self._waiting += 1

    def take(self, limit: int) -> list[Message]:
        """One message each of up to ``limit`` keys of which none is in work."""
        taken = [self._by_key[self._ready.popleft()].popleft() for _ in range(min(limit, len(self._ready)))]
        self._waiting -= len(taken)
        return taken

    def done(self, messages: Sequence[Message]) -> None:
        """The messages have been processed: their keys may go on."""
        for message in messages:
            key = message.key or b""
            waiting = self._by_key.get(key)
            if waiting:
                self._ready.append(key)
            elif waiting is not None:
                del self._by_key[key]

    def clear(self) -> None:
        self._by_key.clear()
        self._ready.clear()
        self._waiting = 0


class OffsetTracker:
    """Which messages of each partition are under way; what lies before the oldest of them may be committed."""

    def __init__(self) -> None:
        self._pending: dict[TopicPartition, dict[int, int]] = {}  # offsets, each with the bytes of its message
        self._bytes: Counter[TopicPartition] = Counter()
        self._next: dict[TopicPartition, int] = {}

    def received(self, tp: TopicPartition, offset: int, size: int = 0) -> bool:
        """Note that a message of ``size`` bytes has come at ``offset``; false when it had come before."""
        if offset < self._next.get(tp, 0):
            return False
        self._pending.setdefault(tp, {})[offset] = size
        self._bytes[tp] += size
        self._next[tp] = offset + 1
        return True

    def done(self, tp: TopicPartition, offset: int) -> None:
        self._bytes[tp] -= self._pending.get(tp, {}).pop(offset, 0)

    def committable(self, tp: TopicPartition) -> int | None:
        """The offset to go on from after a crash; ``None`` where nothing has come yet."""
        pending = self._pending.get(tp)
        if pending:
            return next(iter(pending))  # offsets come in order, and a dict keeps the order
        return self._next.get(tp)

    def pending(self, tp: TopicPartition) -> int:
        """Messages under way."""
        return len(self._pending.get(tp, ()))

    def pending_bytes(self, tp: TopicPartition) -> int:
        """Bytes of the messages under way."""
        return self._bytes[tp]

    def clear(self) -> None:
        self._pending.clear()
        self._bytes.clear()
        self._next.clear()
