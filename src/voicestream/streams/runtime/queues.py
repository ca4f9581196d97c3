"""What waits for an agent, and how far its source partitions may be committed."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence

from voicestream.streams.message import Message, TopicPartition


class FifoQueue:
    """Messages in the order in which they came: for an agent that runs one call at a time."""

    def __init__(self) -> None:
        self._waiting: deque[Message] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, messages: Sequence[Message]) -> None:
        self._waiting.extend(messages)

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

    def push(self, messages: Sequence[Message]) -> None:
        for message in messages:
            key = message.key or b""
            waiting = self._by_key.get(key)
            if waiting is None:
                self._by_key[key] = deque((message,))
                self._ready.append(key)
            else:
                waiting.append(message)
        self._waiting += len(messages)

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
        self._pending: dict[tuple[str, int], dict[int, int]] = {}  # offsets, each with the bytes of its message
        self._bytes: Counter[tuple[str, int]] = Counter()
        self._next: dict[TopicPartition, int] = {}

    def received(self, tp: TopicPartition, messages: Sequence[Message]) -> Sequence[Message]:
        """Note messages that have come, in their order; those of them that had not come before."""
        following = self._next.get(tp, 0)
        if messages and messages[0].offset < following:
            messages = [message for message in messages if message.offset >= following]
        if messages:
            sizes = [len(message.value) if message.value is not None else 0 for message in messages]
            pending = self._pending.setdefault(tp, {})
            pending.update(zip([message.offset for message in messages], sizes, strict=True))
            self._bytes[tp] += sum(sizes)
            self._next[tp] = messages[-1].offset + 1
        return messages

    def done(self, messages: Iterable[Message]) -> None:
        """Note messages that have been processed, of any partitions and in any order."""
        for message in messages:
            tp = message.topic, message.partition  # as good a key as a TopicPartition, and cheaper
            pending = self._pending.get(tp)
            if pending is not None:
                self._bytes[tp] -= pending.pop(message.offset, 0)

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
