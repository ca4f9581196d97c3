-- The operational record: one row a fact, by the id that a replay makes again. There are no foreign keys on purpose: the
-- records of a call come on several topics, in no order between them.

CREATE TABLE calls
(
    call_id     text        PRIMARY KEY,
    status      text        NOT NULL CHECK (status IN ('live', 'ended')),
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    duration_ms bigint,
    reason      text,
    protocol    text        NOT NULL,
    queue       text,
    agent       text,
    customer    text,
    metadata    jsonb       NOT NULL,
    outcome     text,
    summary     text,
    figures     jsonb,
    emotions    jsonb,
    version     smallint    NOT NULL
);

CREATE INDEX calls_live ON calls (started_at) WHERE status = 'live';
CREATE INDEX calls_started_at ON calls (started_at);
CREATE INDEX calls_customer ON calls (customer, started_at);

COMMENT ON TABLE calls IS 'One row a call, from its start.';
COMMENT ON COLUMN calls.call_id IS 'Identifier of the call.';
COMMENT ON COLUMN calls.status IS 'live, or ended once the summary of the call is there.';
COMMENT ON COLUMN calls.started_at IS 'When the call began.';
COMMENT ON COLUMN calls.ended_at IS 'When the call ended; null while it is going on.';
COMMENT ON COLUMN calls.duration_ms IS 'Length of the call in milliseconds; null while it is going on.';
COMMENT ON COLUMN calls.reason IS 'Why the call ended: completed, hangup, timeout or drain; null while it is going on.';
COMMENT ON COLUMN calls.protocol IS 'twilio or raw.';
COMMENT ON COLUMN calls.queue IS 'Queue that the call came through; null where the caller did not say.';
COMMENT ON COLUMN calls.agent IS 'Person who takes the call; null where the caller did not say.';
COMMENT ON COLUMN calls.customer IS 'Name or number of the customer; null where the caller did not say.';
COMMENT ON COLUMN calls.metadata IS 'Everything else the caller said of the call, by name.';
COMMENT ON COLUMN calls.outcome IS 'What the call came to: sale_signal, churn_risk, next_step, resolved or none; null while it is going on.';
COMMENT ON COLUMN calls.summary IS 'The call in a few sentences; null while it is going on.';
COMMENT ON COLUMN calls.figures IS 'Figures of the call by name, most of them by track: talk_ms, talk_ratio, silence_ms, overlap_ms, interruptions, longest_monologue_ms, words_per_minute, utterances, polarity, polarity_quarters, insights; null while it is going on.';
COMMENT ON COLUMN calls.emotions IS 'The prevailing emotion by track, other than neutral where there is one; null while the call is going on.';
COMMENT ON COLUMN calls.version IS 'The highest wins: 0 the call began, 1 it ended, 2 it ended and is complete.';

CREATE TABLE utterances
(
    utterance_id text             PRIMARY KEY,
    call_id      text             NOT NULL,
    track        text             NOT NULL,
    number       integer          NOT NULL,
    start_ms     bigint           NOT NULL,
    end_ms       bigint           NOT NULL,
    at           timestamptz      NOT NULL,
    text         text             NOT NULL,
    language     text             NOT NULL,
    confidence   double precision NOT NULL,
    polarity     double precision,
    label        text,
    emotion      text,
    insights     jsonb            NOT NULL,
    complete     boolean          NOT NULL
);

CREATE INDEX utterances_call_id ON utterances (call_id, start_ms);

COMMENT ON TABLE utterances IS 'Who said what, when, and in what mood; ClickHouse has the rest of it.';
COMMENT ON COLUMN utterances.utterance_id IS 'Identifier of the utterance: call_id/track/number.';
COMMENT ON COLUMN utterances.call_id IS 'Identifier of the call.';
COMMENT ON COLUMN utterances.track IS 'Side of the call: agent, customer or mono.';
COMMENT ON COLUMN utterances.number IS 'Number of the utterance on its track, from 0.';
COMMENT ON COLUMN utterances.start_ms IS 'Start of the speech, in milliseconds from the start of the call.';
COMMENT ON COLUMN utterances.end_ms IS 'End of the speech, in milliseconds from the start of the call.';
COMMENT ON COLUMN utterances.at IS 'Event time: when the last audio of the utterance arrived.';
COMMENT ON COLUMN utterances.text IS 'The words as written.';
COMMENT ON COLUMN utterances.language IS 'BCP 47 language tag.';
COMMENT ON COLUMN utterances.confidence IS 'Mean probability of the words, in [0, 1].';
COMMENT ON COLUMN utterances.polarity IS 'From -1 (negative) to 1 (positive); null where the sentiment did not come.';
COMMENT ON COLUMN utterances.label IS 'negative, neutral or positive; null where the sentiment did not come.';
COMMENT ON COLUMN utterances.emotion IS 'The most probable emotion: anger, disgust, fear, joy, sadness, surprise or neutral; null where it is not known.';
COMMENT ON COLUMN utterances.insights IS 'The insights of the utterance, a list of objects with insight_id, kind, label, value, text and confidence.';
COMMENT ON COLUMN utterances.complete IS 'False where a part (sentiment or insights) did not come in time; a complete row replaces such a one.';

CREATE TABLE routing_decisions
(
    decision_id text        PRIMARY KEY,
    call_id     text        NOT NULL,
    at          timestamptz NOT NULL,
    rule        text        NOT NULL,
    action      text        NOT NULL,
    target      text,
    priority    integer     NOT NULL,
    reason      text        NOT NULL,
    evidence    text[]      NOT NULL,
    queue       text,
    agent       text,
    status      text        NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'acknowledged', 'done'))
);

CREATE INDEX routing_decisions_call_id ON routing_decisions (call_id);
CREATE INDEX routing_decisions_open ON routing_decisions (priority, at) WHERE status = 'open';

COMMENT ON TABLE routing_decisions IS 'What the routing rules decided, as work for an application: it sets the status, voicestream never does again.';
COMMENT ON COLUMN routing_decisions.decision_id IS 'Identifier of the decision.';
COMMENT ON COLUMN routing_decisions.call_id IS 'Identifier of the call.';
COMMENT ON COLUMN routing_decisions.at IS 'Event time of the record that made the rule fire.';
COMMENT ON COLUMN routing_decisions.rule IS 'Name of the rule.';
COMMENT ON COLUMN routing_decisions.action IS 'What is to be done.';
COMMENT ON COLUMN routing_decisions.target IS 'To whom or where; null where the rule names none.';
COMMENT ON COLUMN routing_decisions.priority IS 'From 1, the most urgent, to 5.';
COMMENT ON COLUMN routing_decisions.reason IS 'What made the rule fire, in words.';
COMMENT ON COLUMN routing_decisions.evidence IS 'Identifiers of the utterances that made the rule fire.';
COMMENT ON COLUMN routing_decisions.queue IS 'Queue of the call; null where the caller did not say.';
COMMENT ON COLUMN routing_decisions.agent IS 'Person who takes the call; null where the caller did not say.';
COMMENT ON COLUMN routing_decisions.status IS 'open, acknowledged or done: set by your application; a replay leaves it as it is.';
