"""The order and the times of a track hold whatever comes."""

from hypothesis import given
from hypothesis import strategies as st

from voicestream.gateway.stats import Window
from voicestream.gateway.track import Pending, TrackStream


def new_track(codec: str = "mulaw", rate: int = 8000) -> tuple[TrackStream, list[Pending]]:
    sent: list[Pending] = []
    return TrackStream("c", "agent", codec, rate, emit=sent.append), sent


frames = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 900)), max_size=60)


@given(frames, st.sampled_from([("mulaw", 8000, 1), ("pcm16", 16000, 2), ("pcm16", 24000, 2)]))
def test_chunks_are_contiguous_in_number_time_and_audio(
    arrivals: list[tuple[int, int]], form: tuple[str, int, int]
) -> None:
    codec, rate, width = form
    track, sent = new_track(codec, rate)
    taken = bytearray()
    for sequence, samples in arrivals:
        audio = bytes([sequence % 256]) * samples * width
        if track.add(sequence, audio, now=0.0):
            taken += audio
    track.flush()
    chunks = [waiting.chunk for waiting in sent]
    assert b"".join(chunk.audio for chunk in chunks) == taken
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    position = 0
    for chunk in chunks:
        assert chunk.start_ms == position + chunk.gap_ms
        position = chunk.start_ms + chunk.duration_ms
    assert position == track.position_ms


@given(st.permutations(range(6)))
def test_a_sequence_is_acknowledged_when_all_before_it_are_on_the_broker(order: list[int]) -> None:
    track, sent = new_track()
    for number in range(6):
        track.add(number, bytes(800), now=0.0)
    done: set[int] = set()
    for number in order:
        sent[number].delivered = True
        done.add(number)
        track.settle()
        assert track.acknowledged == next((n for n in range(6) if n not in done), 6) - 1


def test_percentiles_are_of_the_window_only() -> None:
    now = [0.0]
    window = Window(seconds=60, clock=lambda: now[0])
    assert window.percentiles() == {"p50": None, "p95": None, "p99": None, "count": 0}
    window.add(1e9)
    now[0] = 61.0
    for value in range(1, 101):
        window.add(value)
    assert window.percentiles() == {"p50": 50, "p95": 95, "p99": 99, "count": 100}
    assert window.per_second(over=10) == 505
