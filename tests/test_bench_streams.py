"""The judge of ``make bench-streams``: nobody is measured for doing nothing, or for doing it wrongly."""

from itertools import count

from benchmarks.streams.work import AUDIO, FRAME, KEYS, MINUTE_MS, Output, Phase, call_id, queue

PHASE = Phase(number=10_000, start_ms=120 * MINUTE_MS, events=2 * KEYS)


def answers(value: int | None = None) -> list[Output]:
    return [
        Output(500 + n, call_id(n), PHASE.number + n, PHASE.at_ms(n), queue(n) if value is None else value)
        for n in range(PHASE.events)
    ]


def windows() -> list[Output]:
    """The count of each window with every event."""
    counts: dict[tuple[str, int], count[int]] = {}
    outputs = []
    for n in range(PHASE.events):
        window = (call_id(n), PHASE.at_ms(n) // MINUTE_MS * MINUTE_MS)
        value = next(counts.setdefault(window, count(1)))
        outputs.append(Output(500 + n, *window[:1], 0, window[1], value))
    return outputs


def test_right_answers_are_timed_event_by_event() -> None:
    for job, outputs in (("map", answers(len(AUDIO))), ("join", answers()), ("count", windows())):
        checked = PHASE.check(job, outputs)
        assert (checked.missing, checked.wrong, checked.repeated) == (0, 0, 0)
        assert checked.answered_ms == [500 + n for n in range(PHASE.events)]


def test_a_missing_answer_is_missed() -> None:
    for job, outputs in (("map", answers(len(AUDIO))), ("join", answers()), ("count", windows())):
        assert PHASE.check(job, outputs[:-1]).missing == 1


def test_a_wrong_answer_is_wrong() -> None:
    assert PHASE.check("map", answers(1)).wrong == PHASE.events
    twice = [output._replace(value=2 * output.value) for output in windows()]
    assert PHASE.check("count", twice).wrong == PHASE.events


def test_an_answer_that_comes_again_is_counted_and_the_first_one_is_timed() -> None:
    again = [output._replace(appended_ms=9_000) for output in answers()]
    checked = PHASE.check("join", answers() + again)
    assert (checked.repeated, checked.done_ms) == (PHASE.events, 500 + PHASE.events - 1)


def test_one_final_count_answers_all_events_of_its_window() -> None:
    last = {(o.call_id, o.at_ms): o._replace(appended_ms=7_000) for o in windows()}
    checked = PHASE.check("count", last.values())
    assert checked.answered_ms == [7_000] * PHASE.events


def test_what_other_phases_and_closing_frames_bring_is_passed_over() -> None:
    others = [Output(1, call_id(0), number, 0, -1) for number in (-1, 0, PHASE.number + PHASE.events)]
    assert PHASE.check("map", others + answers(len(AUDIO))).wrong == 0
    assert all(FRAME.decode(value)["number"] == -1 for _, value in PHASE.closing())
