-- One document per minute, room, policy and model: messages and what was decided. Key: window_start, room, policy_version,
-- model_version. Written by jobs/moderation.py. Messages that came too late (`is_late`) are not in it.
-- `shadow_changes`: messages of which the challenger would have decided otherwise; `shadow_messages`: those that it judged.
-- Latencies are in ms, from the server's time to the decision.
CREATE TABLE moderation_metrics (
    window_start TIMESTAMP_LTZ(3),
    window_end TIMESTAMP_LTZ(3),
    room STRING,
    policy_version STRING,
    model_version STRING,
    messages BIGINT,
    users BIGINT,
    allowed BIGINT,
    flagged BIGINT,
    held BIGINT,
    unscored BIGINT,
    spam BIGINT,
    floods BIGINT,
    warnings BIGINT,
    mutes BIGINT,
    strike_points BIGINT,
    mean_toxic DOUBLE,
    mean_bullying DOUBLE,
    shadow_messages BIGINT,
    shadow_changes BIGINT,
    shadow_flagged BIGINT,
    mean_latency_ms DOUBLE,
    max_latency_ms BIGINT,
    PRIMARY KEY (window_start, room, policy_version, model_version) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}moderation_metrics',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
