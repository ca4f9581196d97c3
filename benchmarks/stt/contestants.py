"""Who is measured, and how each is brought to the start."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from benchmarks.stt.peers import FasterWhisper
from benchmarks.stt.server import NativeServer
from voicestream.errors import VoicestreamError
from voicestream.stt.engine import SttEngine, load_engine
from voicestream.stt.measure import Measured

GRPC = "grpc "
MOST_AT_ONCE = 8
WORKERS = os.cpu_count() or 1

ABOUT = {
    "whisper.cpp": ("whisper.cpp, wheel", "in this process, as the portable wheel is built (AVX2)", "pywhispercpp"),
    "ctranslate2": ("ctranslate2", "in this process, int8", "ctranslate2"),
    "openvino": ("openvino", "in this process", "openvino"),
    "grpc cpu": ("native server, `cpu`", "over gRPC, built for any processor with AVX2", "grpcio"),
    "grpc cpu-native": ("native server, `cpu-native`", "over gRPC, built for this processor", "grpcio"),
    "transformers": ("transformers", "in this process, pure Python over torch", "transformers torch"),
    "faster-whisper": ("faster-whisper", "its own `transcribe()`, int8, defaults, 30 s a window", "faster-whisper"),
}
"""Names on the page, what they are, and the packages whose versions are told; others are named by their engine."""


@dataclass(frozen=True)
class Contestant:
    """An engine with its model, ready to be measured."""

    key: str
    measured: Measured
    server: NativeServer | None = None

    @property
    def engine(self) -> SttEngine:
        return self.measured.engine

    def close(self) -> None:
        self.engine.close()
        if self.server:
            self.server.stop()


def title(key: str) -> str:
    return ABOUT[key][0] if key in ABOUT else key


def about(key: str) -> str:
    """What it is, with the versions of its packages."""
    if key not in ABOUT:
        return "an engine of the entry-point group `voicestream.stt_engines`"
    _, text, packages = ABOUT[key]
    return f"{text}; {', '.join(f'{name} {_version(name)}' for name in packages.split())}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is not installed"


def load(keys: Iterable[str], model: str) -> tuple[list[Contestant], dict[str, str]]:
    """Those that can be had, warmed up, each with a worker for each core; and why the others can't."""
    ready, missing = [], {}
    for key in keys:
        try:
            ready.append(_warm(_start(key, model)))
        except (VoicestreamError, ImportError) as error:
            missing[key] = str(error).splitlines()[0]
    return ready, missing


def _warm(contestant: Contestant) -> Contestant:
    try:
        contestant.engine.warm_up()
    except VoicestreamError:
        contestant.close()
        raise
    return contestant


def _start(key: str, model: str) -> Contestant:
    if key == FasterWhisper.name:
        return Contestant(key, Measured(FasterWhisper(model, capacity=WORKERS)))
    if not key.startswith(GRPC):
        return Contestant(key, Measured(load_engine(key, model, capacity=WORKERS)))
    server = NativeServer(key.removeprefix(GRPC), model, WORKERS)
    try:
        engine = load_engine(f"grpc://{server.address}", model, capacity=MOST_AT_ONCE)
    except VoicestreamError:
        server.stop()
        raise
    return Contestant(key, Measured(engine, server.cpu_seconds), server)
