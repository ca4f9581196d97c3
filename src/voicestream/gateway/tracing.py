"""The trace of a call: one span from its start to its end, whose context every record of the call carries."""

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanKind

from voicestream.records import CallEvent
from voicestream.streams.message import Headers
from voicestream.streams.middleware.tracing import headers_of
from voicestream.streams.record import Record


class CallTraces:
    """The spans of the calls that are going on."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("voicestream")
        self._calls: dict[str, tuple[Span, Headers]] = {}

    def headers(self, record: Record) -> Headers:
        """The headers of a record of a call, whose key is the call's; its first record begins the trace."""
        call_id = record.key
        known = self._calls.get(call_id)
        if known is None:
            attributes = {"voicestream.call_id": call_id}
            span = self._tracer.start_span("call", kind=SpanKind.PRODUCER, attributes=attributes)
            known = self._calls[call_id] = span, headers_of(span)
        span, headers = known
        if isinstance(record, CallEvent) and record.kind == "ended":  # the last record of a call
            span.set_attribute("voicestream.reason", record.reason or "")
            span.end()
            del self._calls[call_id]
        return headers

    def stop(self) -> None:
        """End what goes on, and send what waits."""
        for span, _ in self._calls.values():
            span.end()
        self._calls.clear()
        self._provider.shutdown()
