"""``voicestream gateway``: the gateway alone."""

import logging

from voicestream.gateway import run
from voicestream.settings import settings


def gateway() -> None:
    """Run the gateway until SIGTERM or Ctrl-C; calls in progress may end first (VOICESTREAM_GATEWAY_DRAIN_S)."""
    logging.basicConfig(level=settings().log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    run(settings())
