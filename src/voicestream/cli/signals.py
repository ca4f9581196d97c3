"""How a command is told to stop."""

import signal


def stop_on_signals() -> None:
    """Ctrl-C and SIGTERM both raise ``KeyboardInterrupt``.

    SIGTERM comes as SIGINT, because asyncio ends its tasks in good order on that one only; and a shell starts jobs in
    the background with SIGINT ignored, which would leave us deaf to both.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
