"""The local copy of one partition of a changelog, on disk: RocksDB through ``rocksdict``.

It is written only when the changelog has the change, so it is never ahead of it; how far it has got is written with
the same atomic batch as what it got. After a kill at any time it thus is what the changelog was at that position.
"""

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from voicestream.streams.errors import StreamsError

log = logging.getLogger(__name__)

MAX_AGE_MS = 12 * 3_600_000
"""A copy that is older is made anew: the changelog may have forgotten removals by then (Kafka: after a day)."""

_POSITION = b"\x00position"
_BEHIND_ALL = b"\xff"  # no text begins so in UTF-8
_WRITE_BUFFER = 8 << 20  # bytes of one partition, before they go to a file


class Position(NamedTuple):
    """How far a changelog has been applied: the offset that comes next, and the checksum of the record before."""

    offset: int = 0
    checksum: int = 0


class RocksCopy:
    """Keys and changelog values of one partition in ``folder``, which no other process may use."""

    def __init__(self, folder: Path) -> None:
        try:
            import rocksdict
        except ImportError as error:
            raise StreamsError(
                "state is to be kept in RocksDB, but rocksdict is not installed: pip install 'voicestream[rocksdb]'"
            ) from error
        self._rocks = rocksdict
        self._folder = folder
        self._open()

    def get(self, key: str) -> bytes | None:
        value: bytes | None = self._db.get(key.encode())
        return value

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Every key with its changelog value, as of now, without the reserved keys."""
        stored: Iterator[tuple[Any, Any]] = self._db.items()
        return ((key.decode(), value) for key, value in stored if not key.startswith(b"\x00"))

    def write(self, changes: Iterable[tuple[str, bytes | None]], position: Position) -> None:
        """Apply records of the changelog, and note that everything before ``position`` is applied."""
        batch = self._rocks.WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key.encode())
            else:
                batch.put(key.encode(), value)
        batch.put(_POSITION, msgspec.msgpack.encode((*position, _wall_ms())))
        self._db.write(batch)
        self.position = position

    def clear(self) -> None:
        """Begin with nothing."""
        batch = self._rocks.WriteBatch(raw_mode=True)
        batch.delete_range(b"", _BEHIND_ALL)
        self._db.write(batch)
        self.position = Position()

    def take_up(self) -> None:
        """Go on where it was left; with nothing, where that was too long ago."""
        saved = self._db.get(_POSITION)
        offset, checksum, at_ms = msgspec.msgpack.decode(saved, type=tuple[int, int, int]) if saved else (0, 0, 0)
        self.position = Position(offset, checksum)
        if offset and _wall_ms() - at_ms > MAX_AGE_MS:
            log.info("the copy of state in %s is old, and is made anew", self._folder)
            self.clear()

    def close(self) -> None:
        self._db.close()

    def entries(self) -> int:
        """The number of entries, as RocksDB estimates it."""
        return self._db.property_int_value("rocksdb.estimate-num-keys") or 0

    def size(self) -> int:
        """Bytes on disk and in the write buffer."""
        names = ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")
        return sum(self._db.property_int_value(name) or 0 for name in names)

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        options = self._rocks.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(_WRITE_BUFFER)
        options.set_max_background_jobs(2)
        options.set_keep_log_file_num(2)
        try:
            self._db = self._rocks.Rdict(str(self._folder), options)
        except Exception as error:  # rocksdict raises a plain Exception
            log.error("the copy of state in %s cannot be used, and is made anew: %s", self._folder, error)
            shutil.rmtree(self._folder)
            self._folder.mkdir(parents=True)
            self._db = self._rocks.Rdict(str(self._folder), options)
        self.take_up()


class WorkerFolder:
    """A folder of this worker's own under ``folder``: the first numbered one that no process on this machine holds.

    A worker that is started again finds the copies of the one before. A process that dies lets its folder go.
    """

    def __init__(self, folder: Path) -> None:
        number = 0
        while True:
            self.path = folder / str(number)
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                os.close(self._lock)
                number += 1

    def close(self) -> None:
        os.close(self._lock)


def _wall_ms() -> int:
    return int(time.time() * 1000)  # of the machine, not of the test driver: it is compared with what the broker keeps
