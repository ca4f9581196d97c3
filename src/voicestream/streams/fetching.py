"""What a fetch costs: settings of the Kafka client and of the C library that neither Faust nor aiokafka offers.

An answer of the broker has up to a megabyte of each partition. By their defaults asyncio is told to stop reading the
socket after 128 KiB, and the C library gives the memory of every answer back to the kernel and asks for it again, page
by page. Both together were a third of what it costs to fetch a record of three kilobytes.
"""

import ctypes

from aiokafka import conn

READ_AHEAD_BYTES = 8 << 20
KEPT_BYTES = 64 << 20  # of free memory at the end of a heap
LARGEST_IN_HEAP = 32 << 20  # the most that the C library takes
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def read_in_large_pieces() -> None:
    """Let connections that are made from now on read ahead, and keep the memory of what was read for the next."""
    conn.READER_LIMIT = READ_AHEAD_BYTES
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # GNU's has it; musl's and Apple's do not
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, LARGEST_IN_HEAP)
