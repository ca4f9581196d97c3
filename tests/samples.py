"""Records for tests."""

from voicestream.testing import transcript

__all__ = ["transcript"]
