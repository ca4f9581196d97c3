"""Every test of the operators runs with stores in memory, and in RocksDB with room for few decoded entries."""

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.streams import shop
from voicestream.streams.state import store as state_module

IN_MEMORY = "/dev/shm"


@pytest.fixture(autouse=True, scope="module", params=["memory", "rocksdb"])
def _backend(request: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shop, "backend", request.param)
        patch.setattr(state_module, "DECODED_ENTRIES", 2)
        if os.access(IN_MEMORY, os.W_OK):
            patch.setattr(tempfile, "tempdir", IN_MEMORY)  # a database is opened in 4 ms, not in 40
        yield
