import msgspec
import numpy as np
import pytest

from voicestream.audio.codecs import Pcm
from voicestream.audio.prosody import Prosody, SpeakerBaseline, measure
from voicestream.audio.resample import resample


def voice(hertz: float, syllables: float = 4.0, level: float = 3000.0, seconds: float = 3.0) -> Pcm:
    """A buzz with the harmonics of a voice, swelling so many times a second, in a little hiss."""
    time = np.arange(int(8000 * seconds)) / 8000
    buzz = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 12) if hertz * k < 3800)
    swell = 0.55 - 0.45 * np.cos(2 * np.pi * syllables * time)
    return (level * buzz * swell + np.random.default_rng(0).normal(0, 20, len(time))).astype(np.int16)


def prosody(pitch: float | None = 150.0, energy: float = -25.0, rate: float | None = 4.0) -> Prosody:
    return Prosody(pitch_hz=pitch, pitch_range=5.0, voiced=0.6, energy_dbfs=energy, speech_rate=rate)


@pytest.mark.parametrize("hertz", [80, 110, 150, 220, 300, 390])
def test_pitch_is_within_a_quarter_of_a_percent(hertz: int) -> None:
    assert measure(voice(hertz), 8000).pitch_hz == pytest.approx(hertz, rel=0.0025)


def test_pitch_is_the_same_at_16_khz() -> None:
    assert measure(resample(voice(180), 8000, 16000), 16000).pitch_hz == pytest.approx(180, rel=0.0025)


def test_range_of_a_glide_over_an_octave() -> None:
    time = np.arange(24000) / 8000
    phase = 2 * np.pi * np.cumsum(100 * 2 ** (time / 3)) / 8000
    glide = (3000 * (np.sin(phase) + np.sin(2 * phase) / 2 + np.sin(3 * phase) / 3)).astype(np.int16)
    # From the 10th to the 90th percentile of 12 semitones.
    assert measure(glide, 8000).pitch_range == pytest.approx(9.6, abs=0.2)


@pytest.mark.parametrize("syllables", [2.0, 4.0, 6.0])
def test_rate_counts_the_swells(syllables: float) -> None:
    assert measure(voice(150, syllables), 8000).speech_rate == pytest.approx(syllables, rel=0.08)


def test_hiss_between_the_syllables_is_not_counted() -> None:
    sound = voice(150, 2.0).astype(np.float64)
    swell = 0.5 + 0.5 * np.cos(2 * np.pi * 2.0 * np.arange(len(sound)) / 8000)  # loudest where the voice is faintest
    sound += np.random.default_rng(1).normal(0, 4000, len(sound)) * swell**8
    assert measure(sound.astype(np.int16), 8000).speech_rate == pytest.approx(2.0, abs=0.4)


def test_what_lies_an_octave_from_the_median_is_taken_for_an_error() -> None:
    mixed = np.concatenate([voice(170), voice(85, seconds=0.7)])
    measured = measure(mixed, 8000)
    assert measured.pitch_hz == pytest.approx(170, rel=0.01)
    assert measured.pitch_range == pytest.approx(0, abs=0.5)


def test_twice_the_amplitude_is_six_decibels_more() -> None:
    quiet, loud = measure(voice(150, level=2000), 8000), measure(voice(150, level=4000), 8000)
    assert loud.energy_dbfs - quiet.energy_dbfs == pytest.approx(6.02, abs=0.05)


def test_hiss_has_energy_but_no_voice() -> None:
    hiss = measure(np.random.default_rng(0).normal(0, 3277, 16000).astype(np.int16), 8000)
    assert hiss.energy_dbfs == pytest.approx(-20, abs=0.5)
    assert (hiss.pitch_hz, hiss.voiced, hiss.speech_rate) == (None, 0.0, None)


@pytest.mark.parametrize("length", [0, 1, 100, 16000])
def test_silence_of_any_length_has_nothing_to_measure(length: int) -> None:
    nothing = measure(np.zeros(length, np.int16), 8000)
    assert (nothing.pitch_hz, nothing.energy_dbfs) == (None, -100.0)


def test_real_speech_is_measured_as_what_it_is(speech: Pcm) -> None:
    kennedy = measure(speech, 8000)
    assert kennedy.pitch_hz is not None
    assert kennedy.speech_rate is not None
    assert (
        220 < kennedy.pitch_hz < 260
    )  # he calls it out: the spectrum of "fellow" has its lines at 271, 547 and 822 Hz
    assert 0.3 < kennedy.voiced < 0.9
    assert 2.0 < kennedy.speech_rate < 4.5  # 32 syllables in 10.5 s with pauses


def test_the_first_utterance_of_a_speaker_is_as_usual() -> None:
    assert SpeakerBaseline().arousal(prosody()) == 0.5


def test_arousal_is_relative_to_the_speaker() -> None:
    calm, lively = SpeakerBaseline(), SpeakerBaseline()
    for wobble in (-0.5, 0.0, 0.5, 0.0):
        calm.add(prosody(pitch=110 + wobble, energy=-35 + wobble, rate=3.0))
        lively.add(prosody(pitch=220 + wobble, energy=-20 + wobble, rate=5.0))
    between = prosody(pitch=160, energy=-27, rate=4.0)
    assert calm.arousal(between) > 0.7
    assert lively.arousal(between) < 0.3


@pytest.mark.parametrize("louder", [{"pitch": 200.0}, {"energy": -15.0}, {"rate": 6.0}])
def test_each_measure_raises_arousal(louder: dict[str, float]) -> None:
    baseline = SpeakerBaseline()
    for _ in range(5):
        baseline.add(prosody())
    assert baseline.arousal(prosody()) == pytest.approx(0.5)
    assert baseline.arousal(prosody(**louder)) > 0.6


def test_segments_without_voice_do_not_move_the_baseline() -> None:
    baseline = SpeakerBaseline()
    baseline.add(prosody())
    before = msgspec.json.encode(baseline)
    baseline.add(prosody(pitch=None, energy=-80, rate=None))
    assert msgspec.json.encode(baseline) == before


def test_the_baseline_has_the_mean_and_variance_of_what_was_added() -> None:
    baseline = SpeakerBaseline()
    energies = [-30.0, -22.0, -27.5, -19.0]
    for energy in energies:
        baseline.add(prosody(energy=energy))
    assert baseline.energy.mean == pytest.approx(np.mean(energies))
    assert baseline.energy.squares == pytest.approx(np.var(energies) * len(energies))


def test_the_baseline_survives_being_stored() -> None:
    baseline = SpeakerBaseline()
    baseline.add(prosody())
    baseline.add(prosody(pitch=170, energy=-22, rate=4.5))
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(baseline), type=SpeakerBaseline)
    assert stored.arousal(prosody(pitch=190)) == baseline.arousal(prosody(pitch=190))
