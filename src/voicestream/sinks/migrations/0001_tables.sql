-- Every table is a ReplacingMergeTree on the id that a replay makes again, so a fact that is written twice is there
-- once. Read through the views (0002), or with FINAL. There is no non_replicated_deduplication_window on purpose: its log
-- is written before the part is, so a server that is killed in between would drop the batch when it is sent again.

CREATE TABLE IF NOT EXISTS calls
(
    call_id              String                                         COMMENT 'Identifier of the call.',
    started_at           DateTime64(3, 'UTC')                           COMMENT 'When the call began.',
    ended_at             Nullable(DateTime64(3, 'UTC'))                 COMMENT 'When the call ended; null while it is going on.',
    duration_ms          UInt64                                         COMMENT 'Length of the call in milliseconds; 0 while it is going on.',
    state                LowCardinality(String)                         COMMENT 'live, or ended once the summary of the call is there.',
    reason               LowCardinality(String)                         COMMENT 'Why the call ended: completed, hangup, timeout or drain; empty while it is going on.',
    protocol             LowCardinality(String)                         COMMENT 'twilio or raw.',
    queue                LowCardinality(String)                         COMMENT 'Queue that the call came through; empty where the caller did not say.',
    agent                LowCardinality(String)                         COMMENT 'Person who takes the call; empty where the caller did not say.',
    customer             String                                         COMMENT 'Name or number of the customer; empty where the caller did not say.',
    metadata             Map(String, String)                            COMMENT 'Everything else the caller said of the call.',
    talk_ms              Map(LowCardinality(String), UInt64)            COMMENT 'Milliseconds of speech by track.',
    talk_ratio           Map(LowCardinality(String), Float64)           COMMENT 'Share of all speech by track, in [0, 1].',
    silence_ms           UInt64                                         COMMENT 'Milliseconds in which nobody spoke.',
    overlap_ms           UInt64                                         COMMENT 'Milliseconds in which both spoke.',
    interruptions        Map(LowCardinality(String), UInt32)            COMMENT 'Times that a track began while the other was speaking and went on after it.',
    longest_monologue_ms Map(LowCardinality(String), UInt64)            COMMENT 'Longest stretch of a track that the other did not break, in milliseconds.',
    words_per_minute     Map(LowCardinality(String), Float64)           COMMENT 'Words a minute of speech by track.',
    utterances           Map(LowCardinality(String), UInt32)            COMMENT 'Utterances by track.',
    polarity             Map(LowCardinality(String), Float64)           COMMENT 'Mean polarity by track, from -1 (negative) to 1 (positive).',
    polarity_quarters    Map(LowCardinality(String), Array(Nullable(Float64))) COMMENT 'Mean polarity of each quarter of the call by track; null where nothing was said.',
    insights             Map(LowCardinality(String), UInt32)            COMMENT 'Number of insights by kind.',
    emotions             Map(LowCardinality(String), String)            COMMENT 'The prevailing emotion by track, other than neutral where there is one.',
    routing              Array(LowCardinality(String))                  COMMENT 'Routing rules that fired, in order.',
    outcome              LowCardinality(String)                         COMMENT 'What the call came to: sale_signal, churn_risk, next_step, resolved or none; empty while it is going on.',
    text                 String                                         COMMENT 'The call in a few sentences.',
    complete             Bool                                           COMMENT 'False where a stage did not report the end of the call in time, and while the call is going on.',
    version              UInt8                                          COMMENT 'The row with the highest counts: 0 the call began, 1 it ended, 2 it ended and is complete.'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(started_at)
ORDER BY call_id
COMMENT 'One row a call, from its start; the figures are those of the call summary.';

CREATE TABLE IF NOT EXISTS utterances
(
    utterance_id  String                                COMMENT 'Identifier of the utterance: call_id/track/number.',
    call_id       String                                COMMENT 'Identifier of the call.',
    track         LowCardinality(String)                COMMENT 'Side of the call: agent, customer or mono.',
    number        UInt32                                COMMENT 'Number of the utterance on its track, from 0.',
    start_ms      UInt64                                COMMENT 'Start of the speech, in milliseconds from the start of the call.',
    end_ms        UInt64                                COMMENT 'End of the speech, in milliseconds from the start of the call.',
    at            DateTime64(3, 'UTC')                  COMMENT 'Event time: when the last audio of the utterance arrived.',
    queue         LowCardinality(String)                COMMENT 'Queue of the call; empty where the caller did not say.',
    agent         LowCardinality(String)                COMMENT 'Person who takes the call; empty where the caller did not say.',
    text          String                                COMMENT 'The words as written.',
    words         UInt32                                COMMENT 'Number of words.',
    confidence    Float64                               COMMENT 'Mean probability of the words, in [0, 1].',
    language      LowCardinality(String)                COMMENT 'BCP 47 language tag.',
    polarity      Nullable(Float64)                     COMMENT 'From -1 (negative) to 1 (positive); null where the sentiment did not come.',
    label         LowCardinality(String)                COMMENT 'negative, neutral or positive; empty where the sentiment did not come.',
    emotion       LowCardinality(String)                COMMENT 'The most probable emotion: anger, disgust, fear, joy, sadness, surprise or neutral; empty where it is not known.',
    emotions      Map(LowCardinality(String), Float64)  COMMENT 'Probability of each emotion.',
    trend         Nullable(Float64)                     COMMENT 'Slope of the polarity of the track so far, in polarity a minute.',
    arousal       Nullable(Float64)                     COMMENT 'Arousal of the voice in [0, 1], relative to the speaker; 0.5 is as usual.',
    pitch_hz      Nullable(Float64)                     COMMENT 'Median fundamental frequency in hertz.',
    energy_dbfs   Nullable(Float64)                     COMMENT 'Mean level in decibels below full scale.',
    speech_rate   Nullable(Float64)                     COMMENT 'Estimated syllables a second.',
    insight_ids   Array(String)                         COMMENT 'Identifiers of the insights of the utterance, see the table insights.',
    insight_kinds Array(LowCardinality(String))         COMMENT 'Kinds of the insights of the utterance, in the same order.',
    stt_ms        Float64                               COMMENT 'Time of the speech recognition in milliseconds.',
    sentiment_ms  Float64                               COMMENT 'Time of the sentiment model in milliseconds.',
    latency_ms    Int64                                 COMMENT 'From the arrival of the last audio to the result, in milliseconds.',
    complete      Bool                                  COMMENT 'False where a part (sentiment or insights) did not come in time.',
    version       UInt8                                 COMMENT 'The row with the highest counts: 1 is complete, 0 is not.'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(at)
ORDER BY (call_id, utterance_id)
COMMENT 'One row an utterance: transcript, sentiment and insights joined.';

CREATE TABLE IF NOT EXISTS insights
(
    insight_id   String                  COMMENT 'Identifier of the insight: utterance_id/kind/label/start.',
    utterance_id String                  COMMENT 'Identifier of the utterance that it was found in.',
    call_id      String                  COMMENT 'Identifier of the call.',
    track        LowCardinality(String)  COMMENT 'Side of the call: agent, customer or mono.',
    number       UInt32                  COMMENT 'Number of the utterance on its track, from 0.',
    at           DateTime64(3, 'UTC')    COMMENT 'Event time of the utterance; of two rows of one insight the later counts.',
    kind         LowCardinality(String)  COMMENT 'competitor, price, objection, buying_signal, next_step, churn_risk, question, commitment, compliance, entity, or a kind of a plug-in.',
    label        LowCardinality(String)  COMMENT 'What in particular: the competitor, the sort of objection, the sort of entity.',
    value        Nullable(String)        COMMENT 'Normalised value: an amount with its currency, an ISO date, a product id.',
    text         String                  COMMENT 'The words of the utterance that are the evidence.',
    start        UInt32                  COMMENT 'First character of the evidence in the text of the utterance.',
    end          UInt32                  COMMENT 'Behind the last character of the evidence.',
    confidence   Float64                 COMMENT 'In [0, 1].',
    extractor    LowCardinality(String)  COMMENT 'Name of the extractor that found it.'
)
ENGINE = ReplacingMergeTree(at)
PARTITION BY toYYYYMM(at)
ORDER BY (call_id, insight_id)
COMMENT 'One row an insight: a business signal in an utterance, with the evidence for it.';

CREATE TABLE IF NOT EXISTS routing_decisions
(
    decision_id String                  COMMENT 'Identifier of the decision: call_id/rule/number.',
    call_id     String                  COMMENT 'Identifier of the call.',
    at          DateTime64(3, 'UTC')    COMMENT 'Event time of the record that made the rule fire; of two rows of one decision the later counts.',
    rule        LowCardinality(String)  COMMENT 'Name of the rule.',
    action      LowCardinality(String)  COMMENT 'What is to be done, such as alert_supervisor or offer_retention.',
    target      String                  COMMENT 'Whom it concerns: a queue, a person, a channel; empty where the rule names none.',
    priority    Int32                   COMMENT '1 is the most urgent.',
    reason      String                  COMMENT 'The conditions that held, in words with their values.',
    evidence    Array(String)           COMMENT 'Identifiers of the utterances, insights and events that made it fire.',
    queue       LowCardinality(String)  COMMENT 'Queue of the call; empty where the caller did not say.',
    agent       LowCardinality(String)  COMMENT 'Person who takes the call; empty where the caller did not say.'
)
ENGINE = ReplacingMergeTree(at)
PARTITION BY toYYYYMM(at)
ORDER BY (call_id, decision_id)
COMMENT 'One row a decision of a routing rule.';

CREATE TABLE IF NOT EXISTS window_metrics
(
    metric_id         String                             COMMENT 'Identifier of the window: queue/agent/start.',
    queue             LowCardinality(String)             COMMENT 'Queue of the calls; empty where the caller did not say.',
    agent             LowCardinality(String)             COMMENT 'Person who took the calls; empty where the caller did not say.',
    window_start      DateTime64(3, 'UTC')               COMMENT 'Start of the window, inclusive.',
    window_end        DateTime64(3, 'UTC')               COMMENT 'End of the window, exclusive.',
    calls             UInt32                             COMMENT 'Calls that had an utterance in the window.',
    utterances        UInt32                             COMMENT 'Utterances that ended in the window.',
    polarity          Nullable(Float64)                  COMMENT 'Mean polarity of the utterances.',
    customer_polarity Nullable(Float64)                  COMMENT 'Mean polarity of the utterances of customers.',
    insights          Map(LowCardinality(String), UInt32) COMMENT 'Number of insights by kind.',
    latency_p50_ms    Nullable(Float64)                  COMMENT 'Median time from the end of speech to the result, in milliseconds.',
    latency_p95_ms    Nullable(Float64)                  COMMENT '95th percentile of the same.',
    latency_p99_ms    Nullable(Float64)                  COMMENT '99th percentile of the same.',
    revision          UInt32                             COMMENT 'Grows with every update of the window.',
    final             Bool                               COMMENT 'True once the window is closed.',
    version           UInt64                             COMMENT 'The row with the highest counts: twice the revision, and one more when it is final.'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(window_start)
ORDER BY metric_id
COMMENT 'One row a window of a queue and agent: the latest figures of it.';

CREATE TABLE IF NOT EXISTS call_metrics
(
    call_id              String                                COMMENT 'Identifier of the call.',
    at                   DateTime64(3, 'UTC')                  COMMENT 'Event time of the latest record that counts.',
    queue                LowCardinality(String)                COMMENT 'Queue of the call; empty where the caller did not say.',
    agent                LowCardinality(String)                COMMENT 'Person who takes the call; empty where the caller did not say.',
    duration_ms          UInt64                                COMMENT 'Length of the call so far in milliseconds.',
    talk_ms              Map(LowCardinality(String), UInt64)   COMMENT 'Milliseconds of speech by track.',
    talk_ratio           Map(LowCardinality(String), Float64)  COMMENT 'Share of all speech by track, in [0, 1].',
    silence_ms           UInt64                                COMMENT 'Milliseconds in which nobody spoke.',
    overlap_ms           UInt64                                COMMENT 'Milliseconds in which both spoke.',
    interruptions        Map(LowCardinality(String), UInt32)   COMMENT 'Times that a track began while the other was speaking and went on after it.',
    longest_monologue_ms Map(LowCardinality(String), UInt64)   COMMENT 'Longest stretch of a track that the other did not break, in milliseconds.',
    words_per_minute     Map(LowCardinality(String), Float64)  COMMENT 'Words a minute of speech by track.',
    utterances           Map(LowCardinality(String), UInt32)   COMMENT 'Utterances by track.',
    polarity             Map(LowCardinality(String), Float64)  COMMENT 'Mean polarity by track.',
    polarity_quarters    Map(LowCardinality(String), Array(Nullable(Float64))) COMMENT 'Mean polarity of each quarter of the call by track; null where nothing was said.',
    insights             Map(LowCardinality(String), UInt32)   COMMENT 'Number of insights by kind.',
    revision             UInt32                                COMMENT 'Grows with every update of the call.',
    final                Bool                                  COMMENT 'True once the call is over.',
    version              UInt64                                COMMENT 'The row with the highest counts: twice the revision, and one more when it is final.'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY call_id
COMMENT 'One row a call: its figures so far, while it is going on.';

CREATE TABLE IF NOT EXISTS dead_letters
(
    letter_id    String                        COMMENT 'Identifier of the letter: stage/agent/topic/partition/offset.',
    topic        LowCardinality(String)        COMMENT 'Topic that the message came from, or was meant for.',
    partition    Int32                         COMMENT 'Partition of the source message.',
    offset       Int64                         COMMENT 'Offset of the source message.',
    source_key   Nullable(String)              COMMENT 'Key of the source message, as bytes.',
    source_value Nullable(String)              COMMENT 'Value of the source message, as bytes; see it with hex() or base64Encode().',
    headers      Map(String, String)           COMMENT 'Headers of the source message; their values are bytes.',
    timestamp    DateTime64(3, 'UTC')          COMMENT 'Timestamp of the source message.',
    stage        LowCardinality(String)        COMMENT 'Stage that gave up.',
    agent        LowCardinality(String)        COMMENT 'Agent of the stage.',
    step         LowCardinality(String)        COMMENT 'decode, process or produce.',
    error        LowCardinality(String)        COMMENT 'Type of the exception.',
    message      String                        COMMENT 'What the exception said.',
    trace        String                        COMMENT 'Stack trace.',
    at           DateTime64(3, 'UTC')          COMMENT 'When the stage gave up; of two rows of one letter the later counts.'
)
ENGINE = ReplacingMergeTree(at)
PARTITION BY toYYYYMM(timestamp)
ORDER BY letter_id
COMMENT 'One row a message that a stage could not handle.';
