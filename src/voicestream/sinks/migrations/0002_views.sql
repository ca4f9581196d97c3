-- What analysts read: each fact once, and the maps of a call as plain columns.

CREATE VIEW IF NOT EXISTS v_calls AS
SELECT
    call_id, started_at, ended_at, duration_ms, state, reason, protocol, queue, agent, customer, metadata, outcome, text,
    complete,
    talk_ms['agent'] AS agent_talk_ms,
    talk_ms['customer'] AS customer_talk_ms,
    talk_ratio['agent'] AS agent_talk_ratio,
    talk_ratio['customer'] AS customer_talk_ratio,
    silence_ms,
    overlap_ms,
    interruptions['agent'] AS agent_interruptions,
    interruptions['customer'] AS customer_interruptions,
    longest_monologue_ms['agent'] AS agent_longest_monologue_ms,
    longest_monologue_ms['customer'] AS customer_longest_monologue_ms,
    words_per_minute['agent'] AS agent_words_per_minute,
    words_per_minute['customer'] AS customer_words_per_minute,
    utterances['agent'] AS agent_utterances,
    utterances['customer'] AS customer_utterances,
    if(mapContains(polarity, 'agent'), polarity['agent'], NULL) AS agent_polarity,
    if(mapContains(polarity, 'customer'), polarity['customer'], NULL) AS customer_polarity,
    polarity_quarters['customer'] AS customer_polarity_quarters,
    emotions['agent'] AS agent_emotion,
    emotions['customer'] AS customer_emotion,
    insights,
    routing
FROM calls FINAL
COMMENT 'One row a call, the figures of its tracks as columns.';

CREATE VIEW IF NOT EXISTS v_utterances AS
SELECT * EXCEPT (version)
FROM utterances FINAL
COMMENT 'One row an utterance.';

CREATE VIEW IF NOT EXISTS v_insights AS
SELECT i.*, c.queue AS queue, c.agent AS agent, c.customer AS customer, c.outcome AS outcome
FROM (SELECT * FROM insights FINAL) AS i
LEFT JOIN (SELECT call_id, queue, agent, customer, outcome FROM calls FINAL) AS c ON c.call_id = i.call_id
COMMENT 'One row an insight, with the queue, agent, customer and outcome of its call.';

CREATE VIEW IF NOT EXISTS v_routing_decisions AS
SELECT *
FROM routing_decisions FINAL
COMMENT 'One row a decision of a routing rule.';

CREATE VIEW IF NOT EXISTS v_window_metrics AS
SELECT * EXCEPT (version)
FROM window_metrics FINAL
COMMENT 'One row a window of a queue and agent: its latest figures.';

CREATE VIEW IF NOT EXISTS v_call_metrics AS
SELECT * EXCEPT (version)
FROM call_metrics FINAL
COMMENT 'One row a call: its latest figures, also while it is going on.';

CREATE VIEW IF NOT EXISTS v_dead_letters AS
SELECT *
FROM dead_letters FINAL
COMMENT 'One row a message that a stage could not handle.';
