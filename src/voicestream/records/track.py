"""The sides of a call."""

from typing import Literal

Track = Literal["agent", "customer", "mono"]
