"""OpenTelemetry as the settings ask for it; an optional extra, so imported only where it is wanted."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from voicestream.errors import SettingsError
from voicestream.streams.middleware.base import Middleware

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


def provider(endpoint: str, service: str) -> "TracerProvider":
    """Makes spans and sends them to ``endpoint``; raises ``SettingsError`` without the extra."""
    with _extra(endpoint):
        from voicestream.streams.middleware.tracing import provider_to

        return provider_to(endpoint, service)


def middleware(endpoint: str) -> Middleware:
    """The middleware of workers, whose spans go where ``start`` says; raises ``SettingsError`` without the extra."""
    with _extra(endpoint):
        from opentelemetry.trace import get_tracer

        from voicestream.streams.middleware.tracing import Tracing

        return Tracing(get_tracer("voicestream"))


def start(endpoint: str, service: str) -> None:
    """Let all spans of this process go to ``endpoint``, those that agents make themselves too."""
    chosen = provider(endpoint, service)
    from opentelemetry.trace import set_tracer_provider

    set_tracer_provider(chosen)


@contextmanager
def _extra(endpoint: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"VOICESTREAM_TRACING is {endpoint}, and the package {error.name} is not installed: "
            "pip install 'voicestream[tracing]'"
        ) from error
