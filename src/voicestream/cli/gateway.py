"""``voicestream gateway``: the gateway alone."""

import logging

from voicestream.gateway import run
from voicestream.settings import settings
from voicestream.streams.middleware.logs import JsonFormatter


def gateway() -> None:
    """Run the gateway until SIGTERM or Ctrl-C; calls in progress may end first (VOICESTREAM_GATEWAY_DRAIN_S)."""
    logging.basicConfig(level=settings().log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if settings().log_format == "json":
        for handler in logging.root.handlers:
            handler.setFormatter(JsonFormatter())
    run(settings())
