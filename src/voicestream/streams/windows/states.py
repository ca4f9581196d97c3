"""Copies of states."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

_IMMUTABLE = (int, float, str, bytes, bool, None, type(None), float | None, int | None)


@lru_cache(maxsize=256)
def copier(state_type: Any) -> Callable[[Any], Any]:
    """The function that copies a state of this type, so that a change of one does not show in the other.

    It writes and reads it as the store does: there is no other copy that works for every type of state.
    """
    if state_type in _IMMUTABLE:
        return lambda state: state
    encode = msgspec.msgpack.Encoder().encode
    decode = msgspec.msgpack.Decoder(state_type).decode
    return lambda state: decode(encode(state))
