"""Engines of speech to text side by side: ``python -m benchmarks.stt`` from the root of the repository.

Writes its section of ``docs/benchmarks.md``; with ``--quick``, ``--only`` or ``--model`` it prints only.
"""

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

from benchmarks import page
from benchmarks.stt.contestants import ABOUT, load
from benchmarks.stt.figures import Figures, Size, measure
from benchmarks.stt.report import TITLE, section
from benchmarks.stt.speech import NoSpeechError, Speech, read

MODELS = ("tiny.en", "base")
CALLS = 20  # to learn what gRPC adds
FOR_LATENCIES = 0.6  # of the minutes; the rest goes to word errors
WEIGHT = {"base": 2.0}  # a slower model needs more time for as many segments
QUICK = Size(clips=2, seconds=0, calls=3, turns=1)
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # for each worker; read when a library is loaded


def main() -> None:
    """Measure every engine with one model after the other."""
    options = arguments()
    os.environ |= ONE_THREAD
    load_1, started = os.getloadavg()[0], time.monotonic()
    try:
        speech = read(options.speech)
    except NoSpeechError as error:
        sys.exit(str(error))
    print(f"speech: {speech.about}", flush=True)
    found = [figures(model, options, speech) for model in options.model]
    command = "make bench-stt" if options.write else shlex.join(["python", "-m", "benchmarks.stt", *sys.argv[1:]])
    text = section(command, speech.about, load_1, (time.monotonic() - started) / 60, found)
    if options.write:
        page.put(TITLE, text)
    print(text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stt", description=__doc__)
    parser.add_argument("--speech", type=Path, help="a manifest as `python -m voicestream.stt.measure` takes it")
    parser.add_argument("--clips", type=int, default=24, help="recordings for the word errors (24)")
    parser.add_argument("--minutes", type=float, default=20, help="about how long all of it may take (20)")
    parser.add_argument("--quick", action="store_true", help="one turn of each: to see that all of it works")
    parser.add_argument("--model", action="append", help=f"may be given more than once; {' and '.join(MODELS)} if not")
    known = ", ".join(ABOUT)
    parser.add_argument("--only", action="append", help=f"{known}, or another installed engine; may be repeated")
    parser.add_argument("--engine", action="append", default=[], help="another installed engine too; may be repeated")
    options = parser.parse_args()
    options.write = not (options.quick or options.only or options.model)
    options.keys = [*(options.only or ABOUT), *options.engine]
    options.model = options.model or list(MODELS)
    return options


def figures(model: str, options: argparse.Namespace, speech: Speech) -> Figures:
    """What was measured with one model."""
    share = WEIGHT.get(model, 1.0) / sum(WEIGHT.get(other, 1.0) for other in options.model)
    seconds = FOR_LATENCIES * 60 * options.minutes * share
    calls = CALLS if model == options.model[0] else 0
    size = QUICK if options.quick else Size(clips=options.clips, seconds=seconds, calls=calls)
    contestants, missing = load(options.keys, model)
    for key, reason in missing.items():
        print(f"{model}, {key}: not measured: {reason}", flush=True)
    try:
        return measure(model, contestants, missing, speech, size)
    finally:
        for contestant in contestants:
            contestant.close()


if __name__ == "__main__":
    main()
