// What is known of each call: the same merging as the gateway does in state.py, so that the page needs no polling.

const MAX_LINES = 500;
const MAX_ENDED = 200;

export class Calls {
  constructor() {
    this.byId = new Map();
    this.alerts = new Map();
  }

  get(callId) {
    let call = this.byId.get(callId);
    if (!call) {
      call = { call_id: callId, status: "live", mood: {}, lines: new Map(), found: new Map(), routing: new Map(), orphans: new Map(), reached: {} };
      this.byId.set(callId, call);
    }
    return call;
  }

  // A call as GET /v1/calls tells it; what the feed has said meanwhile stays.
  load(told) {
    const call = this.get(told.call_id);
    const { transcript, insights, routing, mood, ...rest } = told;
    for (const [name, value] of Object.entries(rest)) {
      const older = value === null || (name === "status" && call.status === "ended"); // the feed may have been faster
      if (!older) call[name] = value;
    }
    call.mood = { ...mood, ...call.mood };
    for (const line of transcript ?? []) {
      const { insights: tags, ...said } = line;
      const known = call.lines.get(line.utterance_id);
      if (said.final ? !known?.final : !known) this.say(call, said); // interim words of the feed are newer than told ones
      for (const tag of tags) call.found.set(tag.insight_id, tag);
    }
    for (const decision of routing ?? []) this.decide(call, decision);
    this.limit();
    return call;
  }

  // A record of the feed; returns the call that it changed, if it did.
  apply(record) {
    if (!record.call_id) return null;
    const call = this.get(record.call_id);
    switch (record.type) {
      case "CallEvent":
        for (const name of ["protocol", "tracks", "queue", "agent", "customer", "metadata"]) call[name] = record[name];
        if (record.kind === "started") call.started_at_ms = record.at_ms;
        if (record.kind === "ended") Object.assign(call, { status: "ended", ended_at_ms: record.at_ms, reason: record.reason });
        break;
      case "Transcript":
        this.say(call, record);
        break;
      case "UtteranceResult":
        this.say(call, { ...record, final: true });
        for (const tag of record.insights) call.found.set(tag.insight_id, { ...tag, utterance_id: record.utterance_id });
        break;
      case "Sentiment":
        if (record.polarity === null) break;
        call.mood[record.track] = { polarity: record.call_polarity ?? record.polarity, trend: record.trend, emotion: record.emotion };
        this.feel(call, record);
        break;
      case "Insight":
        call.found.set(record.insight_id, record);
        break;
      case "RoutingDecision":
        this.decide(call, record);
        break;
      case "CallMetric":
        if (!call.metrics || record.revision >= call.metrics.revision) call.metrics = record;
        break;
      case "CallSummary":
        Object.assign(call, {
          status: "ended", summary: record, ended_at_ms: record.ended_at_ms, duration_ms: record.duration_ms, reason: record.reason,
          started_at_ms: record.started_at_ms, queue: record.queue ?? call.queue, agent: record.agent ?? call.agent, customer: record.customer ?? call.customer,
        });
        this.withdraw(call, () => true);
        break;
      default:
        return null;
    }
    if (call.status === "ended") this.limit();
    return call;
  }

  // Interim words are shown until the final ones are there: those of a later utterance tell that there are none.
  say(call, said) {
    if (!said.final) {
      if (!call.summary && said.number > (call.reached[said.track] ?? -1)) this.line(call, said);
      return;
    }
    call.reached[said.track] = Math.max(said.number, call.reached[said.track] ?? -1);
    this.withdraw(call, (line) => line.track === said.track && line.number < said.number);
    this.line(call, said);
  }

  withdraw(call, which) {
    for (const line of call.lines.values()) if (!line.final && which(line)) call.lines.delete(line.utterance_id);
  }

  line(call, said) {
    const known = call.lines.get(said.utterance_id) ?? call.orphans.get(said.utterance_id) ?? {};
    call.orphans.delete(said.utterance_id);
    const line = { ...known };
    for (const name of ["utterance_id", "track", "number", "start_ms", "end_ms", "text", "final", "polarity", "emotion"]) {
      if (said[name] !== undefined && said[name] !== null) line[name] = said[name];
    }
    call.lines.set(said.utterance_id, line);
    if (call.lines.size > MAX_LINES) call.lines.delete(call.lines.keys().next().value);
  }

  // Sentiment may overtake the transcript that it is about.
  feel(call, record) {
    const line = call.lines.get(record.utterance_id);
    const felt = { polarity: record.polarity, emotion: record.emotion };
    if (line) Object.assign(line, felt);
    else call.orphans.set(record.utterance_id, felt);
    if (call.orphans.size > 50) call.orphans.delete(call.orphans.keys().next().value);
  }

  decide(call, decision) {
    call.routing.set(decision.decision_id, decision);
    this.alerts.set(decision.decision_id, { ...decision, call_id: call.call_id });
    if (this.alerts.size > 200) this.alerts.delete(this.alerts.keys().next().value);
  }

  limit() {
    const ended = [...this.byId.values()].filter((call) => call.status === "ended");
    ended.sort((a, b) => (a.ended_at_ms ?? 0) - (b.ended_at_ms ?? 0));
    for (const call of ended.slice(0, Math.max(0, ended.length - MAX_ENDED))) this.byId.delete(call.call_id);
  }

  live() { return this.sorted((call) => call.status !== "ended", "started_at_ms"); }
  ended() { return this.sorted((call) => call.status === "ended", "ended_at_ms"); }
  sorted(keep, by) { return [...this.byId.values()].filter(keep).sort((a, b) => (b[by] ?? 0) - (a[by] ?? 0)); }
}

export function linesOf(call) {
  return [...call.lines.values()].sort((a, b) => a.start_ms - b.start_ms || (a.track < b.track ? -1 : 1));
}

export function tagsOf(call, utteranceId) {
  return [...call.found.values()].filter((tag) => tag.utterance_id === utteranceId);
}

// Shares of the talk: as measured by the stages, else by the lines so far.
export function talkOf(call) {
  const measured = call.summary?.talk_ratio ?? call.metrics?.talk_ratio;
  if (measured && Object.keys(measured).length) return measured;
  const spoken = {};
  let all = 0;
  for (const line of call.lines.values()) {
    spoken[line.track] = (spoken[line.track] ?? 0) + line.end_ms - line.start_ms;
    all += line.end_ms - line.start_ms;
  }
  for (const track of Object.keys(spoken)) spoken[track] /= all || 1;
  return spoken;
}
