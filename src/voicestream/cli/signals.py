"""How a command is told to stop."""

import signal


def stop_on_sigterm() -> None:
    """SIGTERM does what Ctrl-C does; as SIGINT, because asyncio ends its tasks in good order on that one only."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
