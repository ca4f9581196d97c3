"""A call in a few sentences, made from its figures: nothing is in it that is not in the record."""

from voicestream.records import CallSummary
from voicestream.records.metrics import CallFigures

_SIGNALS = {
    "competitor": "a competitor was named",
    "objection": "the customer objected",
    "buying_signal": "the customer wants to buy",
    "churn_risk": "the customer may leave",
    "next_step": "a next step was agreed",
    "commitment": "a commitment was made",
}


def outcome_of(measured: CallFigures) -> str:
    """What a call came to, as far as its insights and the end of its mood say."""
    insights = measured.insights
    ending = _last(measured.polarity_quarters.get("customer", measured.polarity_quarters.get("mono", [])))
    if insights.get("churn_risk") and (ending is None or ending < 0.3):
        return "churn_risk"
    if insights.get("buying_signal"):
        return "sale_signal"
    if insights.get("next_step"):
        return "next_step"
    return "resolved" if ending is not None and ending >= 0.3 else "none"


def tell(call: CallSummary) -> str:
    """One to four sentences: who and how long, the mood and how it went, the signals, the alerts."""
    who = call.customer or "A caller"
    with_whom = f" with {call.agent}" if call.agent else ""
    where = f" ({call.queue})" if call.queue else ""
    sentences = [f"{who} spoke{with_whom}{where} for {_length(call.duration_ms)}."]
    track = "customer" if "customer" in call.polarity_quarters else "mono"
    quarters = [q for q in call.polarity_quarters.get(track, []) if q is not None]
    if quarters:
        first, last = _mood(quarters[0]), _mood(quarters[-1])
        person = "The customer" if track == "customer" else "The speaker"
        course = f"was {first} throughout" if first == last else f"began {first} and ended {last}"
        sentences.append(f"{person} {course}.")
    else:
        sentences.append("Nothing was said." if not call.utterances else "The customer said nothing.")
    signals = [text for kind, text in _SIGNALS.items() if call.insights.get(kind)]
    if signals:
        sentences.append(_list(signals) + ".")
    if call.routing:
        rules = ", ".join(dict.fromkeys(rule.replace("_", " ") for rule in call.routing))
        sentences.append(f"Rules that fired: {rules}.")
    return " ".join(sentences)


def _last(quarters: list[float | None]) -> float | None:
    return next((q for q in reversed(quarters) if q is not None), None)


def _mood(polarity: float) -> str:
    return "negative" if polarity < -0.3 else "positive" if polarity > 0.3 else "neutral"


def _length(ms: int) -> str:
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _list(items: list[str]) -> str:
    text = items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
    return text[0].upper() + text[1:]
