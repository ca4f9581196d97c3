"""Who is measured: how each is installed, started, and what it does otherwise than the rest."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from benchmarks.streams.work import Job

HERE = Path(__file__).parent
WORKERS = HERE / "workers"
CACHE = Path(".voicestream/bench-peers").absolute()
INSTALL_TIMEOUT_S = 600


class NotAvailableError(Exception):
    """Why a peer cannot be measured here."""


@dataclass(frozen=True)
class Variant:
    """One way in which a peer does a job."""

    job: Job
    key: str
    """What its worker knows it by."""
    title: str = ""
    events: int = 100_000
    final: bool = False
    """It answers when the window is closed, so that there is no latency of an event."""


@dataclass(frozen=True)
class Peer:
    """One library."""

    key: str
    title: str
    about: str
    """What it does otherwise than the rest, for the page."""
    install: Callable[[], "Installed"]
    variants: tuple[Variant, ...]
    warm_up: int = 5_000


@dataclass(frozen=True)
class Installed:
    """A peer that can be started."""

    command: tuple[str, ...]
    versions: str
    env: dict[str, str] = field(default_factory=dict)


def each_job(events: int, *, final_count: bool = False) -> tuple[Variant, ...]:
    return (
        Variant("map", "map", events=events),
        Variant("count", "count", events=events, final=final_count),
        Variant("join", "join", events=events),
    )


def ours(module: str, *packages: str) -> Callable[[], Installed]:
    """A script on libraries that voicestream itself depends on."""

    def installed() -> Installed:
        return Installed((sys.executable, str(WORKERS / f"{module}.py")), _python(*packages))

    return installed


def faust_worker(module: str, *packages: str) -> Callable[[], Installed]:
    """A Faust worker in voicestream's own environment."""

    def installed() -> Installed:
        command = (sys.executable, "-m", "faust", "-A", module, "worker", "--without-web", "-l", "warn")
        return Installed(command, _python(*packages), {"PYTHONPATH": str(WORKERS)})

    return installed


def own_environment(*packages: str, start: Callable[[Path], tuple[str, ...]]) -> Callable[[], Installed]:
    """A peer from the package index, in a virtual environment of its own: their requirements contradict ours."""

    def installed() -> Installed:
        folder = CACHE / packages[0].partition("[")[0]
        python = folder / "bin" / "python"
        ready = folder / "ready"
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _run("make an environment", [sys.executable, "-m", "venv", str(folder)])
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
            _run(f"install {packages[0]} on Python {platform.python_version()}", [*pip, *packages])
            ready.touch()
        names = [package.partition("[")[0] for package in packages]
        show = "import sys; from importlib.metadata import version as v; print(*(v(n) for n in sys.argv[1:]))"
        found = _run("read versions", [str(python), "-c", show, *names]).split()
        said = ", ".join(f"{name} {v}" for name, v in zip(names, found, strict=True))
        return Installed(start(python), said, {"PYTHONPATH": str(WORKERS)})

    return installed


def kafka_streams() -> Installed:
    """The jars of ``jvm/pom.xml`` and one source file."""
    java, maven = shutil.which("java"), shutil.which("mvn")
    if java is None or maven is None:
        raise NotAvailableError(f"{'Java' if java is None else 'Maven'} is not installed")
    jars = CACHE / "jvm"
    if not (jars / "ready").exists():
        shutil.rmtree(jars, ignore_errors=True)
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={jars}"]
        _run("fetch the jars of Kafka Streams", [maven, "-q", "-B", "-f", str(HERE / "jvm" / "pom.xml"), *goal])
        (jars / "ready").touch()
    found = {path.stem.rpartition("-")[0]: path.stem.rpartition("-")[2] for path in jars.glob("*.jar")}
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
    runtime = said.partition('"')[2].partition('"')[0]
    versions = f"kafka-streams {found['kafka-streams']}, avro {found['avro']}, Java {runtime}"
    log = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    command = (java, "-Xmx1g", log, "-cp", f"{jars}/*", str(HERE / "jvm" / "Streams.java"))
    return Installed(command, versions)


def _python(*packages: str) -> str:
    return ", ".join(f"{package} {version(package)}" for package in packages)


def _run(what: str, command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotAvailableError(f"cannot {what}: not done within {INSTALL_TIMEOUT_S} s") from error
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).splitlines() if "ERROR" in line]
        raise NotAvailableError(f"cannot {what}: {said[-1] if said else done.stderr.strip()[-300:]}")
    return done.stdout


PEERS = (
    Peer(
        "voicestream",
        "voicestream",
        "A Faust worker. State in memory with a changelog; the offset fence makes a replay count nothing twice. "
        "Outputs are acknowledged before the changelog is written, and both before offsets are committed.",
        faust_worker("voicestream_stages", "faust-streaming", "aiokafka", "confluent-kafka"),
        (
            Variant("map", "agent", "agent, a record at a time"),
            Variant("map", "batch-agent", "agent, batches of 500"),
            Variant("map", "operators", "operators"),
            Variant("count", "state-agent", "agent with state"),
            Variant("count", "current", "window, every update"),
            Variant("count", "final", "window, when it closes", final=True),
            Variant("join", "join", "operators"),
        ),
    ),
    Peer(
        "confluent",
        "confluent_kafka, bare loop",
        "State is a dictionary, lost with the process; flushed and committed once a second.",
        ours("bare_confluent", "confluent-kafka"),
        each_job(200_000),
    ),
    Peer(
        "aiokafka",
        "aiokafka, bare loop",
        "State is a dictionary, lost with the process; what was fetched at once is sent and acknowledged together.",
        ours("bare_aiokafka", "aiokafka"),
        each_job(100_000),
    ),
    Peer(
        "faust",
        "plain Faust",
        "Tables in memory with a changelog, a write an event. After kill -9 it counts events twice.",
        faust_worker("plain_faust", "faust-streaming", "aiokafka"),
        each_job(20_000),
        warm_up=2_000,
    ),
    Peer(
        "quix",
        "Quix Streams",
        "RocksDB with a changelog, at least once, checkpoint every second; the join is its as-of join.",
        own_environment("quixstreams", "fastavro", start=lambda python: (str(python), str(WORKERS / "quix.py"))),
        each_job(50_000),
    ),
    Peer(
        "bytewax",
        "Bytewax",
        "No changelog and no commit: its recovery (SQLite) is off. It counts a window when it closes, so there is no "
        "latency of an event; the join keeps the last frame of a call too.",
        own_environment(
            "bytewax[kafka]",
            "fastavro",
            start=lambda python: (str(python), "-m", "bytewax.run", "bytewax_flow"),
        ),
        each_job(50_000, final_count=True),
    ),
    Peer(
        "jvm",
        "Kafka Streams (JVM)",
        "RocksDB with a changelog, at least once, commit every second, one stream thread, record cache off so that "
        "each update goes out, linger 5 ms. Warmed up by 50,000 events; its CPU includes compiler and collector.",
        kafka_streams,
        each_job(200_000),
        warm_up=50_000,
    ),
)
