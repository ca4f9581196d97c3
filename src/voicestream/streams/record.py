"""The base of every record that travels through a topic."""

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A typed, immutable value of a topic.

    A subclass declares the same fields as the Avro schema of its name; the codec holds the two together.
    """

    @property
    def key(self) -> str:
        """The message key: the ``call_id`` where the record has one; a subclass may say otherwise."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its key is: define the property 'key'")
