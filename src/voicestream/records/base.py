"""What the records of one call have in common."""

from voicestream.streams.record import Record


class CallRecord(Record, frozen=True, kw_only=True):
    """A record of one call: its key is the call, so one call is one partition from end to end."""

    call_id: str

    @property
    def key(self) -> str:
        return self.call_id
