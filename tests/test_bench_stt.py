"""`make bench-stt` apart from the engines: cutting speech, taking turns, tables, and what it concludes."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.stt import report
from benchmarks.stt.contestants import load
from benchmarks.stt.figures import AT_ONCE, LENGTHS_S, OVERHEAD_S, REFERENCE, Accuracy, Figures, percentiles, until
from benchmarks.stt.overhead import BARE, ENGINE, HEALTH_CHECK, Overhead
from benchmarks.stt.speech import Speech, cut, read
from voicestream.stt.engine import Clip, Recognition
from voicestream.stt.measure import Measured, Recording, Timing, errors, read_manifest, take_turns


def clip(seconds: float, rate: int = 8000, start: int = 0) -> Clip:
    return Clip(np.arange(start, start + int(seconds * rate), dtype=np.int16), rate, "en")


class Parrot:
    """An engine that says how long a clip is, and takes a while for it."""

    name, model, capacity = "parrot", "none", 3

    def __init__(self, takes_s: float = 0.0) -> None:
        self.takes_s = takes_s
        self.asked: list[int] = []

    def transcribe(self, clips: Sequence[Clip]) -> list[Recognition]:
        self.asked.append(len(clips))
        time.sleep(self.takes_s)
        return [Recognition(f"word {len(clip.pcm)}", (), 0.9, 0.0, "en", 1.0) for clip in clips]

    def warm_up(self) -> None: ...

    def close(self) -> None: ...


def timing(*each_ms: float, cpu_s: float = 1.0, wall_s: float = 1.0) -> Timing:
    return Timing(list(each_ms), cpu_s, wall_s)


def figures(native_ms: float = 100, transformers_ms: float = 400, added_ms: float = 1.0) -> Figures:
    latency = {
        length: {"whisper.cpp": timing(250), "grpc cpu": timing(native_ms), "transformers": timing(transformers_ms)}
        for length in LENGTHS_S
    }
    added = {caller: [added_ms] * 3 for caller in (HEALTH_CHECK, BARE, ENGINE)}
    return Figures(
        "tiny.en",
        clips=24,
        words=500,
        accuracy={
            "whisper.cpp": Accuracy(0.10, 0.115),
            "grpc cpu": Accuracy(0.10, 0.13),
            "faster-whisper": Accuracy(0.5, 0.5),
            REFERENCE: Accuracy(0.10, 0.11),
        },
        latency=latency,
        at_once=dict.fromkeys(AT_ONCE, latency[3]),
        overhead={"grpc cpu": {length: Overhead(added) for length in OVERHEAD_S}},
        missing={"grpc cpu-native": "it is not built"},
    )


def test_segments_are_cut_from_recordings_joined_end_to_end() -> None:
    first, second = cut([clip(1.5), clip(1.0, start=12000)], 1.0)
    assert [len(first.pcm), len(second.pcm)] == [8000, 8000]
    assert np.array_equal(np.concatenate([first.pcm, second.pcm]), np.arange(16000))


def test_recordings_for_word_errors_are_spread_over_all_and_never_taken_twice() -> None:
    recordings = [Recording(str(n), clip(1, 16000), clip(1)) for n in range(50)]
    assert [one.text for one in Speech("", recordings).spread(5)] == ["0", "12", "24", "37", "49"]
    assert [one.text for one in Speech("", recordings[:3]).spread(24)] == ["0", "1", "2"]


def test_a_manifest_is_read_at_16_khz_and_as_over_the_telephone(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "one.wav", np.zeros(22050, np.int16), 22050)
    manifest = tmp_path / "manifest.tsv"
    manifest.write_text('file\tspeaker\ttext\none.wav\tA\tso "he" said\n')
    [recording] = read_manifest(manifest)
    assert recording.text == 'so "he" said'
    assert (recording.wide.sample_rate, recording.telephone.sample_rate) == (16000, 8000)
    assert recording.wide.duration_ms == recording.telephone.duration_ms == 1000
    assert read(manifest).about.startswith("1 recordings, 1 s")


def test_turns_begin_again_with_the_first_clip_and_end_with_the_time() -> None:
    clips = [clip(1), clip(2), clip(3)]
    seconds = [[one.duration_ms // 1000 for one in turn] for turn in until(0, 2, clips, 2)]
    assert seconds == [[1, 2], [3, 1]]
    assert len(list(until(0.2, 1, clips, 1))) > 100


def test_all_engines_get_all_clips_in_turn_and_wait_only_for_their_own() -> None:
    quick, slow = Parrot(), Parrot(takes_s=0.05)
    timings = take_turns([Measured(quick), Measured(slow)], [[clip(1)] * 4, [clip(1)] * 2], 4)
    assert [len(found.each_ms) for found in timings] == [6, 6]
    assert min(timings[1].each_ms) >= 50 > np.median(timings[0].each_ms)
    assert 0.1 <= timings[1].wall_s < 0.3, "clips of a turn are at the same time"


def test_the_clock_of_a_server_is_counted() -> None:
    ticks = iter([1.0, 3.5, 10.0, 10.5])
    [found] = take_turns([Measured(Parrot(), lambda: next(ticks))], [[clip(1)], [clip(1)]], 1)
    assert found.cpu_s == 3.0


def test_word_errors_are_asked_for_in_lots_that_an_engine_takes_at_once() -> None:
    parrot = Parrot()
    rate, stopped = errors(parrot, [clip(1, 16000)] * 7, ["word 16000"] * 7)
    assert (rate, stopped, parrot.asked) == (0.0, 0, [3, 3, 1])


def test_percentiles_lie_between_the_values() -> None:
    assert percentiles(timing(*range(101))) == (50.0, 95.0)
    assert percentiles(timing(7)) == (7.0, 7.0)


def test_who_is_not_installed_is_left_out_with_the_reason() -> None:
    ready, missing = load(["grpc no-such-preset", "no-such-engine"], "tiny.en")
    assert ready == []
    assert "make native PRESET=no-such-preset" in missing["grpc no-such-preset"]
    assert "'no-such-engine'" in missing["no-such-engine"]


def test_targets_are_judged_by_the_figures() -> None:
    fast, native, grpc, _, accurate = report.targets([figures()])
    assert "native server, `cpu` (100 ms)" in fast.partition("; not ")[0]
    assert "whisper.cpp, wheel (250)" in fast.partition("; not ")[2]
    assert "is 75 and 75 % below at 3 s, 75 % in the worst length: met" in native
    assert "a bare client 1.0 ms at most, met" in grpc
    assert "met by whisper.cpp, wheel (+0.5), not by native server, `cpu` (+2.0)" in accurate


def test_a_target_that_one_length_misses_is_missed() -> None:
    found = figures()
    found.latency[10] = found.latency[10] | {"grpc cpu": timing(350)}
    assert "12 % in the worst length: not met" in report.targets([found])[1]
    assert "not met" in report.targets([figures(added_ms=3.5)])[2]


def test_what_was_not_measured_is_not_judged() -> None:
    found = replace(figures(), overhead={})
    found.latency = {length: {"whisper.cpp": timing(250)} for length in LENGTHS_S}
    found.at_once = dict.fromkeys(AT_ONCE, found.latency[3])
    fast, native, grpc, beyond, _ = report.targets([found])
    assert "nobody" in fast
    assert native.endswith("not measured.")
    assert grpc.endswith("not measured.")
    assert beyond.endswith("not measured.")


def test_the_rate_is_compared_with_ctranslate2_at_as_many_at_once() -> None:
    found = figures()
    found.at_once = {n: {"ctranslate2": timing(1, cpu_s=0.2), "grpc cpu": timing(1, cpu_s=0.8 / n)} for n in AT_ONCE}
    assert "native server, `cpu` comes nearest with 2.00 times as many at 8 at once: met" in report.targets([found])[3]


@pytest.mark.parametrize("table", [report.accuracy_table, report.latency_table, report.at_once_table])
def test_tables_have_as_many_cells_in_every_row(table) -> None:
    rows = [line for line in table(figures()) if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1


def test_segments_a_second_are_by_the_processor_and_the_real_time_factor_by_the_clock() -> None:
    found = figures()
    found.at_once = {n: {"grpc cpu": timing(100, 100, cpu_s=0.5, wall_s=0.6)} for n in AT_ONCE}
    assert "| 1 | 100 / 100 | 250 | 4.0 | 0.100 |" in report.at_once_table(found)[-4]


def test_the_section_names_everybody_and_why_some_are_missing() -> None:
    text = report.section("make bench-stt", "6 recordings, 36 s", 0.5, 19.6, [figures()])
    assert "not measured: it is not built" in text
    assert "20 minutes" in text
    for name in ("whisper.cpp, wheel", "native server, `cpu`", "native server, `cpu-native`", "faster-whisper"):
        assert f"- **{name}**" in text
