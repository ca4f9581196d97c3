"""OpenTelemetry: a span for each call of an agent, and the trace handed on in the headers of what it sends.

The context travels in the header ``traceparent`` of each message (W3C Trace Context). A call takes part in each trace
that a message of it belongs to, and makes one span in each: its parent is the newest message of the trace, and it links
to the others. What is sent belongs to the trace of the message with the same key. So whatever is made of a telephone
call is in the trace that the gateway began, however the calls were batched on the way.
"""

import os
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from voicestream.streams.message import Event, Headers, Message, Outgoing
from voicestream.streams.middleware.base import Call, Proceed

TRACEPARENT = "traceparent"
NO_TRACE = 0

_NAMES = (TRACEPARENT, "tracestate")
_MAX_LINKS = 64
_PROPAGATOR = TraceContextTextMapPropagator()


def provider_to(endpoint: str, service: str) -> TracerProvider:
    """A provider whose spans go to the OTLP collector at ``endpoint`` (HTTP, such as ``http://host:4318``).

    The standard ``OTEL_`` variables apply beside it, such as ``OTEL_TRACES_SAMPLER`` and ``OTEL_RESOURCE_ATTRIBUTES``.
    What waits is sent when the process ends, or by its ``shutdown``.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    provider = TracerProvider(resource=Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", service)}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")))
    return provider


def headers_of(span: Span) -> Headers:
    """The headers that hand the trace of ``span`` on."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, set_span_in_context(span))
    return tuple((name, value.encode()) for name, value in carrier.items())


class Tracing:
    """The middleware; ``tracer`` makes the spans.

    During a call of one trace its span is the current one, so spans that an agent makes itself are within it.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    async def __call__(self, call: Call, proceed: Proceed) -> list[Outgoing]:
        contexts = [_context_of(event.message) for event in call.events]
        spans = self._begin(call, contexts)
        current = next(iter(spans.values())) if len(spans) == 1 else INVALID_SPAN
        try:
            with use_span(current, record_exception=False, set_status_on_exception=False):
                sent = await proceed()
        except Exception as error:
            for span in spans.values():
                _failed(span, call.step, error)
            raise
        else:
            for position, failure in call.failures.items():
                _failed(spans[contexts[position].trace_id], "process", failure)
            return _handed_on(sent, call.events, contexts, spans)
        finally:
            for span in spans.values():
                span.end()

    def _begin(self, call: Call, contexts: Sequence[SpanContext]) -> dict[int, Span]:
        """A span for each trace that a message of the call belongs to, and one for those that belong to none."""
        started, attributes = time.time_ns(), _attributes(call)
        traces: dict[int, list[SpanContext]] = {}
        for context in contexts:
            traces.setdefault(context.trace_id, []).append(context)
        spans = {}
        for trace_id, members in traces.items():
            *others, parent = {member.span_id: member for member in members}.values()
            spans[trace_id] = self._tracer.start_span(
                f"{call.stage} {call.agent}",
                set_span_in_context(NonRecordingSpan(parent)),
                SpanKind.CONSUMER,
                {**attributes, "messaging.batch.message_count": len(members)},
                [Link(other) for other in others[-_MAX_LINKS:]],
                started,
            )
        return spans


def _context_of(message: Message) -> SpanContext:
    """The trace that a message belongs to; that with the id ``NO_TRACE`` where it names none."""
    carrier = {name: value.decode(errors="replace") for name, value in message.headers if name in _NAMES and value}
    return get_current_span(_PROPAGATOR.extract(carrier)).get_span_context() if TRACEPARENT in carrier else _NOWHERE


_NOWHERE = NonRecordingSpan(SpanContext(NO_TRACE, 0, is_remote=False)).get_span_context()


def _attributes(call: Call) -> dict[str, Any]:
    """By OpenTelemetry's semantic conventions for messaging, where there is a word."""
    attributes: dict[str, Any] = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "voicestream.stage": call.stage,
        "voicestream.agent": call.agent,
    }
    if len(call.events) == 1:
        message = call.events[0].message
        attributes["messaging.destination.name"] = message.topic
        attributes["messaging.destination.partition.id"] = str(message.partition)
        attributes["messaging.kafka.offset"] = message.offset
        attributes["messaging.kafka.message.key"] = message.key_text or ""
    return attributes


def _failed(span: Span, step: str, error: Exception) -> None:
    span.record_exception(error)
    span.set_status(StatusCode.ERROR, f"{step}: {error}")


def _handed_on(
    sent: list[Outgoing], events: Sequence[Event[Any]], contexts: Sequence[SpanContext], spans: dict[int, Span]
) -> list[Outgoing]:
    """What is sent, each message in the trace of the newest event with its key, or in the only trace there is."""
    headers = {trace_id: headers_of(span) for trace_id, span in spans.items()}
    only = next(iter(headers.values())) if len(headers) == 1 else ()
    by_key = {event.message.key: headers[context.trace_id] for event, context in zip(events, contexts, strict=True)}
    return [
        message
        if any(name == TRACEPARENT for name, _ in message.headers)
        else msgspec.structs.replace(message, headers=(*message.headers, *by_key.get(message.key, only)))
        for message in sent
    ]
