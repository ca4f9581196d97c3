"""Sets of words."""

from importlib import resources


def word_set(text: str) -> frozenset[str]:
    """The words of ``text``."""
    return frozenset(text.split())


def _read(name: str) -> frozenset[str]:
    lines = (resources.files(__package__) / name).read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


COMMON = _read("common_words.txt")
"""The most common English words."""
