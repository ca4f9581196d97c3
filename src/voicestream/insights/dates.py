"""Dates and times of day as people say them, resolved against the time of the utterance (UTC)."""

import calendar
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from voicestream.insights.numbers import is_digits, read_number, read_ordinal
from voicestream.insights.tokens import Token
from voicestream.insights.vocabulary import word_set


class Moment(NamedTuple):
    """Characters ``start`` to ``end`` name a moment.

    ``label`` is ``date`` or ``time``; ``value`` is ISO 8601: a day, a day with a time, a month ``2026-12``, a week
    ``2026-W48``, a quarter ``2026-Q4``, a year, or a time of day.
    """

    start: int
    end: int
    label: str
    value: str
    confidence: float


class _Read(NamedTuple):
    behind: int
    value: str
    confidence: float
    day: bool = True


_WEEKDAYS = {name.lower(): index for index, name in enumerate(calendar.day_name)}
_MONTHS = {name.lower(): index for index, name in enumerate(calendar.month_name) if name}
_MONTHS |= {"jan": 1, "feb": 2, "apr": 4, "aug": 8, "sept": 9, "sep": 9, "oct": 10, "nov": 11, "dec": 12}
_PARTS = frozenset({"morning", "afternoon", "evening", "night", "noon"})
_LEADS = word_set("in by until till since of from this next last for before after during on around")
_WRITTEN = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b|\b(\d{1,2})/(\d{1,2})(?:/(\d{4}|\d{2}))?\b")


def moments_in(text: str, words: Sequence[Token], at_ms: int) -> list[Moment]:
    """The dates and times in ``text``, whose words are ``words``, said at ``at_ms``, from left to right."""
    try:
        today = datetime.fromtimestamp(at_ms / 1000, UTC).date()
        if not 1970 <= today.year <= 9000:
            return []
    except (ValueError, OverflowError, OSError):
        return []
    found = [moment for match in _WRITTEN.finditer(text) if (moment := _written(match, today))]
    taken = [(moment.start, moment.end) for moment in found]
    at = 0
    while at < len(words):
        read = _moment_at(words, at, today)
        if read is None:
            at += 1
            continue
        start, end = words[at].start, words[read.behind - 1].end
        if not any(start < stop and begin < end for begin, stop in taken):
            label = "time" if re.fullmatch(r"\d\d:\d\d", read.value) else "date"
            found.append(Moment(start, end, label, read.value, read.confidence))
        at = read.behind
    return sorted(found)


def _written(match: re.Match[str], today: date) -> Moment | None:
    year, month, day, us_month, us_day, us_year = match.groups()
    try:
        if year:
            value = date(int(year), int(month), int(day))
        elif us_year:
            value = date(int(us_year) + (2000 if len(us_year) == 2 else 0), int(us_month), int(us_day))
        else:
            value = _coming(today, int(us_month), int(us_day))
    except ValueError:
        return None
    return Moment(*match.span(), "date", value.isoformat(), 0.95 if year or us_year else 0.7)


def _moment_at(words: Sequence[Token], at: int, today: date) -> _Read | None:
    day = _day_at(words, at, today)
    if day is not None:
        if not day.day:
            return day
        behind = day.behind
        if _norm(words, behind) in _PARTS:
            behind += 1
        elif _norm(words, behind) in ("in", "at") and _norm(words, behind + 1) in _PARTS | {"the"}:
            stop = behind + 1 + (_norm(words, behind + 1) == "the")
            behind = stop + 1 if _norm(words, stop) in _PARTS else behind
        time = _time_at(words, behind)
        if time is not None:
            return _Read(time.behind, f"{day.value}T{time.value}", day.confidence)
        return day._replace(behind=behind)
    time = _time_at(words, at)
    if time is None:
        return None
    behind = time.behind + (_norm(words, time.behind) == "on")
    day = _day_at(words, behind, today) if behind < len(words) else None
    if day is not None and day.day:
        return _Read(day.behind, f"{day.value}T{time.value}", day.confidence)
    return time


def _day_at(words: Sequence[Token], at: int, today: date) -> _Read | None:
    try:
        for read in (_relative, _weekday, _month, _ordinal_day, _span):
            found = read(words, at, today)
            if found is not None:
                return found
    except (ValueError, OverflowError):
        return None  # a day that no calendar has, such as February 30th
    return None


def _relative(words: Sequence[Token], at: int, today: date) -> _Read | None:
    word, following = _norm(words, at), _norm(words, at + 1)
    shift = {"today": 0, "tonight": 0, "tomorrow": 1, "yesterday": -1}.get(word)
    if shift is not None:
        return _Read(at + 1, _iso(today, shift), 0.95)
    if [_norm(words, at + step) for step in range(4)] == ["the", "day", "after", "tomorrow"]:
        return _Read(at + 4, _iso(today, 2), 0.95)
    if (word, following, _norm(words, at + 2)) == ("day", "after", "tomorrow"):
        return _Read(at + 3, _iso(today, 2), 0.95)
    if word in ("next", "this", "last", "coming"):
        step = {"next": 1, "last": -1}.get(word, 0)
        value = _period(following, today, step)
        if value:
            return _Read(at + 2, value, 0.85, day=False)
    if word == "end" and following == "of":
        stop = at + 2
        step = 0
        if _norm(words, stop) in ("the", "this", "next"):
            step = int(_norm(words, stop) == "next")
            stop += 1
        end = _period_end(_norm(words, stop), today, step)
        if end:
            return _Read(stop + 1, end.isoformat(), 0.9)
    return None


def _weekday(words: Sequence[Token], at: int, today: date) -> _Read | None:
    step = _norm(words, at)
    first = at + (step in ("next", "this", "last", "coming"))
    weekday = _WEEKDAYS.get(_norm(words, first).removesuffix("s"))
    if weekday is None or _norm(words, first) == "s":
        return None
    ahead = (weekday - today.weekday()) % 7 or 7
    if first > at and step == "next":
        # "next Tuesday" is that of the week after this one.
        ahead = weekday - today.weekday() + 7
    elif first > at and step == "last":
        ahead -= 7 if ahead < 7 else 14
    return _Read(first + 1, _iso(today, ahead), 0.9)


def _month(words: Sequence[Token], at: int, today: date) -> _Read | None:
    before = words[at - 1].norm if at else ""
    month = _MONTHS.get(_norm(words, at))
    behind = at + 1
    day: int | None = None
    if month is not None:
        read = read_ordinal(words, behind) or _small_number(words, behind)
        if read is None and _norm(words, behind) == "the":
            read = read_ordinal(words, behind + 1)
        if read is not None and 1 <= read[0] <= 31:
            day, behind = read
    else:
        first = at + (_norm(words, at) == "the")
        ordinal = read_ordinal(words, first)
        if ordinal is None:
            return None
        behind = ordinal[1] + (_norm(words, ordinal[1]) == "of")
        month = _MONTHS.get(_norm(words, behind))
        if month is None or not 1 <= ordinal[0] <= 31:
            return None
        day, behind = ordinal[0], behind + 1
    past = before in ("since", "from", "last")
    year = _year_at(words, behind)
    if year is not None:
        behind += 1
    if day is None:
        # "march" and "may" are other words too, so a month by itself needs a word that leads to it.
        if before not in _LEADS or (_norm(words, at) in ("may", "march") and before in ("of", "for", "on", "around")):
            return None
        chosen = year or today.year + (month < today.month and not past) - (past and month > today.month)
        return _Read(behind, f"{chosen:04d}-{month:02d}", 0.8, day=False)
    value = date(year, month, day) if year else _coming(today, month, day)
    if past and not year and value > today:
        value = value.replace(year=value.year - 1)
    return _Read(behind, value.isoformat(), 0.95)


def _ordinal_day(words: Sequence[Token], at: int, today: date) -> _Read | None:
    """``on the fifteenth``: the coming one."""
    before = words[at - 1].norm if at else ""
    if _norm(words, at) != "the" or before not in ("on", "by", "until", "before", "after", "from"):
        return None
    ordinal = read_ordinal(words, at + 1)
    if ordinal is None or not 1 <= ordinal[0] <= 31:
        return None
    following = _norm(words, ordinal[1])
    if ordinal[0] < 4 and following not in ("", ".", "?"):
        return None  # "on the first call"
    value = today
    while value.day != ordinal[0]:
        value += timedelta(days=1)
    return _Read(ordinal[1], value.isoformat(), 0.8)


def _span(words: Sequence[Token], at: int, today: date) -> _Read | None:
    """``in two weeks``, ``within 24 hours``, ``three days ago``."""
    lead = _norm(words, at) in ("in", "within")
    number = read_number(words, at + lead)
    if number is None and _norm(words, at + lead) in ("a", "an"):
        amount, behind = 1, at + lead + 1
    elif number is not None and number[0] == int(number[0]):
        amount, behind = int(number[0]), number[1]
    else:
        return None
    unit = _norm(words, behind).removesuffix("s")
    sign = 1
    behind += 1
    if not lead:
        if _norm(words, behind) == "ago":
            sign, behind = -1, behind + 1
        elif (_norm(words, behind), _norm(words, behind + 1)) == ("from", "now"):
            behind += 2
        else:
            return None
    days = {"day": 1, "week": 7, "hour": 1 / 24}.get(unit)
    if days is not None:
        return _Read(behind, _iso(today, sign * int(amount * days)), 0.85)
    if unit == "month":
        index = today.year * 12 + today.month - 1 + sign * amount
        return _Read(behind, f"{index // 12:04d}-{index % 12 + 1:02d}", 0.8, day=False)
    if unit == "year":
        return _Read(behind, f"{today.year + sign * amount:04d}", 0.8, day=False)
    return None


def _time_at(words: Sequence[Token], at: int) -> _Read | None:
    first = at
    lead = _norm(words, at) in ("at", "around", "by")
    at += lead
    word = _norm(words, at)
    if word in ("noon", "midday", "midnight"):
        return _Read(at + 1, "00:00" if word == "midnight" else "12:00", 0.9)
    if word in ("half", "quarter") and _norm(words, at + 1) in ("past", "to"):
        hour = _small_number(words, at + 2)
        if hour is None or not 1 <= hour[0] <= 12:
            return None
        minutes = 30 if word == "half" else 15
        total = hour[0] * 60 + (minutes if _norm(words, at + 1) == "past" else -minutes)
        return _clock(words, hour[1], total // 60, total % 60, 0.85)
    if re.fullmatch(r"\d{1,2}:\d\d", word):
        hour_text, minute_text = word.split(":")
        return _clock(words, at + 1, int(hour_text), int(minute_text), 0.9)
    hour = _small_number(words, at)
    if hour is None or hour[0] > 24:
        return None
    value, behind = hour
    if _norm(words, behind) == "oclock":
        return _clock(words, behind + 1, value, 0, 0.95)
    minutes_read = _small_number(words, behind)
    if minutes_read is not None and 10 <= minutes_read[0] <= 59 and not is_digits(word):
        known = _clock(words, minutes_read[1], value, minutes_read[0], 0.85)
        if known is not None and (lead or known.behind > minutes_read[1]):
            return known
    known = _clock(words, behind, value, 0, 0.9)
    if known is None or known.behind > behind:
        return known
    # "at three": a time only if the sentence or a day goes on from there.
    following = _norm(words, behind)
    if words[first].norm == "at" and value >= 1 and (following in ("", ".", "?", "on", "today", "tomorrow")):
        return known._replace(confidence=0.6)
    return None


def _clock(words: Sequence[Token], behind: int, hour: int, minute: int, confidence: float) -> _Read | None:
    """A time of day, with the ``am``, ``p m`` or ``in the morning`` behind it; without, office hours are meant."""
    half = _norm(words, behind)
    stop = behind + 1
    if half in ("a", "p") and _norm(words, behind + 1) == "m":
        half, stop = f"{half}m", behind + 2
    elif (half, _norm(words, behind + 1)) == ("in", "the") and _norm(words, behind + 2) in _PARTS:
        half, stop = ("am" if _norm(words, behind + 2) == "morning" else "pm"), behind + 3
    if half in ("am", "pm"):
        if not 1 <= hour <= 12:
            return None
        hour, behind = hour % 12 + (12 if half == "pm" else 0), stop
    elif 1 <= hour <= 6:
        hour += 12
    if not (0 <= hour < 24 and 0 <= minute < 60):
        return None
    return _Read(behind, f"{hour:02d}:{minute:02d}", confidence)


def _coming(today: date, month: int, day: int) -> date:
    """The next day of that name; a leap day may be years ahead."""
    for year in range(today.year, today.year + 9):
        try:
            value = date(year, month, day)
        except ValueError:
            continue
        if value >= today:
            return value
    raise ValueError(f"no day {month}/{day}")


def _period(unit: str, today: date, step: int) -> str | None:
    if unit == "week":
        iso = (today + timedelta(weeks=step)).isocalendar()
        return f"{iso.year:04d}-W{iso.week:02d}"
    if unit == "month":
        index = today.year * 12 + today.month - 1 + step
        return f"{index // 12:04d}-{index % 12 + 1:02d}"
    if unit == "quarter":
        index = today.year * 4 + (today.month - 1) // 3 + step
        return f"{index // 4:04d}-Q{index % 4 + 1}"
    if unit == "year":
        return f"{today.year + step:04d}"
    return None


def _period_end(unit: str, today: date, step: int) -> date | None:
    if unit == "day":
        return today + timedelta(days=step)
    if unit == "week":
        return today + timedelta(days=6 - today.weekday() + 7 * step)
    months = {"month": 1, "quarter": 3, "year": 12}.get(unit)
    if months is None:
        return None
    index = (today.year * 12 + today.month - 1) // months * months + months * (step + 1)
    return date(index // 12, index % 12 + 1, 1) - timedelta(days=1)


def _small_number(words: Sequence[Token], at: int) -> tuple[int, int] | None:
    read = read_number(words, at)
    if read is None or read[0] != int(read[0]) or read[0] > 59:
        return None
    return int(read[0]), read[1]


def _year_at(words: Sequence[Token], at: int) -> int | None:
    word = _norm(words, at)
    return int(word) if re.fullmatch(r"20\d\d", word) else None


def _iso(today: date, days: int) -> str:
    return (today + timedelta(days=days)).isoformat()


def _norm(words: Sequence[Token], at: int) -> str:
    return words[at].norm if 0 <= at < len(words) else ""
