"""Apache Kafka itself, for the tests: one process that is broker and controller, on free ports of loopback.

Its jars come from Maven Central by ``pom.xml`` beside this file, once, into the cache of the model weights. As a
command it prints the address of a broker and runs it until it is interrupted: ``python tests/kafka/broker.py``.
"""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from voicestream.embedded.child import LOOPBACK, Child, free_port, listens
from voicestream.settings import settings

POM: Final = Path(__file__).with_name("pom.xml")
START_TIMEOUT_S: Final = 90.0  # the machine may be busy
FETCH_TIMEOUT_S: Final = 300.0
QUIET: Final = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
JAVA_OPTIONS: Final = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-Xshare:auto")
START_QUICKLY: Final = (*JAVA_OPTIONS, "-XX:TieredStopAtLevel=1")
"""For a broker that lives for a minute or two: a third less processor time to start, and less speed in the long run."""
SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "auto.create.topics.enable": "false",  # who needs a topic has to make it, as in most clusters
    "group.initial.rebalance.delay.ms": "0",  # a lone first worker need not wait for company
    "group.min.session.timeout.ms": "1000",  # tests should not have to wait long for a worker to count as dead
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "4000",  # for so long a broker that was killed is refused when it comes again
    "log.cleaner.backoff.ms": "200",  # looks for what to compact five times a second
    "log.cleaner.dedupe.buffer.size": "8388608",
    "log.initial.task.delay.ms": "100",
}


class NotAvailableError(Exception):
    """Why there is no Kafka broker to be had on this machine."""


def reason_not_available() -> str | None:
    """Why no broker can be started here, such as no Java; fetches the jars where the cache has none."""
    try:
        _java()
        _jars()
    except NotAvailableError as error:
        return str(error)
    return None


class KafkaBroker:
    """A Kafka broker on loopback; use it as a context manager, or call ``start`` and ``stop``.

    ``config`` is added to the broker's settings, ``java_options`` replaces the options of its virtual machine. Raises
    ``NotAvailableError`` where Java or the jars cannot be had, ``EmbeddedError`` where the broker does not start.
    """

    def __init__(self, config: Mapping[str, str] | None = None, java_options: tuple[str, ...] = JAVA_OPTIONS) -> None:
        self._java = [_java(), *java_options, QUIET, "-cp", f"{_jars()}/*"]
        self._folder = Path(tempfile.mkdtemp(prefix="kafka-"))
        self.port, controller_port = free_port(), free_port()
        listeners = f"PLAINTEXT://{LOOPBACK}:{self.port}"
        properties = SETTINGS | {
            "listeners": f"{listeners},CONTROLLER://{LOOPBACK}:{controller_port}",
            "advertised.listeners": listeners,
            "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
            "log.dirs": str(self._folder / "data"),
            **(config or {}),
        }
        self._properties = self._folder / "server.properties"
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        command = [*self._java, "kafka.Kafka", str(self._properties)]
        self.child = Child("The Kafka broker", command, self._folder / "broker.log")

    @property
    def bootstrap(self) -> str:
        """``host:port``, as Kafka clients want it."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """The value of the setting ``broker``."""
        return f"kafka://{self.bootstrap}"

    def start(self) -> None:
        """Start the broker and wait until it takes clients; what it held before it was killed is there again."""
        if not (self._folder / "data").exists():
            self._format()
        self.child.start()
        try:
            self.child.wait_ready(lambda: listens(self.port), START_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """End the broker as kill -9 does; ``start`` brings it back with its topics."""
        if self.child.alive:
            os.kill(self.child.pid, signal.SIGKILL)
            self.child.stop()  # reap it

    def stop(self) -> None:
        """End the broker; all topics and their messages are gone."""
        self.kill()  # in order it would take seconds, for nothing
        shutil.rmtree(self._folder, ignore_errors=True)

    def _format(self) -> None:
        tool = ["kafka.tools.StorageTool", "format", "--cluster-id", "voicestream-tests-0000A"]
        command = [*self._java, *tool, "--config", str(self._properties)]
        made = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if made.returncode:
            raise NotAvailableError(f"Kafka's StorageTool failed: {made.stdout}{made.stderr}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        raise NotAvailableError("Java is not installed: Kafka needs a Java runtime, 17 or newer")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = said.partition('"')[2].partition(".")[0].partition('"')[0]
    if not version.isdigit() or int(version) < 17:
        raise NotAvailableError(f"Java is too old for Kafka, which needs 17 or newer: {said.splitlines()[0]}")
    return java


def _jars() -> Path:
    """The folder with the jars, made on the first call; it is named by what ``pom.xml`` says."""
    folder = settings().cache / "kafka" / hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    if folder.exists():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise NotAvailableError("Maven (mvn) is not installed: it fetches the jars of Kafka")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:  # Maven's own repository is no place for two at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
                _fetch(maven, Path(unfinished) / "jars").rename(folder)
    return folder


def _fetch(maven: str, target: Path) -> Path:
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    try:
        done = subprocess.run(
            [maven, "-q", "-B", "-Dstyle.color=never", "-f", str(POM), *goal],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=FETCH_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotAvailableError(f"Maven did not fetch Kafka's jars within {FETCH_TIMEOUT_S:.0f} s") from error
    if done.returncode:
        said = [line for line in done.stdout.splitlines() if "ERROR" in line]
        raise NotAvailableError(f"Maven cannot fetch Kafka's jars: {said[0] if said else done.stderr}")
    return target


def main() -> None:
    """Print the bootstrap address of a broker, and run it until SIGINT or SIGTERM."""
    if reason := reason_not_available():
        sys.exit(reason)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with KafkaBroker() as broker:
            print(broker.bootstrap, flush=True)
            while True:
                time.sleep(0.5)
                broker.child.check()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
