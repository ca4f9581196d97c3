"""Rules applied to the records of a call, one by one."""

from collections.abc import Sequence

from msgspec.structs import replace

from voicestream.records import RoutingDecision
from voicestream.routing.rules import Rule
from voicestream.routing.state import Fired, RoutingRecord, RoutingState, advance

_EVIDENCE_KEPT = 50


def evaluate(
    rules: Sequence[Rule], state: RoutingState, record: RoutingRecord
) -> tuple[RoutingState, list[RoutingDecision]]:
    """The state of the call with ``record`` in it, and what the rules decide on it, in their order.

    Pure, and by event time alone: the same records give the same decisions, with the same ids, after every replay.
    A rule fires once a call; one with a cooldown again when that has passed and something new speaks for it.
    """
    state = advance(state, record)
    decisions: list[RoutingDecision] = []
    fired = dict(state.fired)
    for rule in rules:
        before = fired.get(rule.name)
        if before is not None and (rule.cooldown_ms is None or state.at_ms - before.at_ms < rule.cooldown_ms):
            continue
        verdict = rule.when.check(state, record)
        if not verdict.holds:
            continue
        evidence = verdict.evidence[-_EVIDENCE_KEPT:]
        if before is not None and evidence and set(evidence) <= set(before.evidence):
            continue
        number = before.count if before is not None else 0
        fired[rule.name] = Fired(count=number + 1, at_ms=state.at_ms, evidence=evidence)
        decisions.append(
            RoutingDecision(
                decision_id=f"{record.call_id}/{rule.name}/{number}",
                call_id=record.call_id,
                at_ms=record.at_ms,
                rule=rule.name,
                action=rule.then.action,
                target=rule.then.target,
                priority=rule.then.priority,
                reason=verdict.words,
                evidence=list(evidence),
                queue=state.queue,
                agent=state.agent,
            )
        )
    return replace(state, fired=fired), decisions
