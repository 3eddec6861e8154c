-- One row per revision of a page with what is known of its harm: the columns of wiki_intent. Without a key: each subtask of
-- jobs/wiki_intent.py, which writes it, has a partition of its own and fills it in the order of `revised_at`. Read by
-- jobs/wiki_users.py. After a failure rows can be there twice, with the same values.
CREATE TABLE judged_revisions (
    wiki STRING,
    revision_id BIGINT,
    parent_id BIGINT,
    page_id BIGINT,
    revised_at TIMESTAMP_LTZ(3),
    `type` STRING,
    title STRING,
    url STRING,
    domain STRING,
    `language` STRING,
    country STRING,
    namespace INT,
    user_name STRING,
    user_kind STRING,
    is_bot BOOLEAN,
    registered_at TIMESTAMP_LTZ(3),
    account_age_days DOUBLE,
    edit_count BIGINT,
    `comment` STRING,
    is_minor BOOLEAN,
    bytes_after BIGINT,
    bytes_changed BIGINT,
    rev_content_changed BOOLEAN,
    topics ARRAY<STRING>,
    request_id STRING,
    shapes ARRAY<STRING>,
    has_revision BOOLEAN,
    has_score BOOLEAN,
    score_errors ARRAY<STRING>,
    damaging BOOLEAN,
    damaging_probability DOUBLE,
    goodfaith BOOLEAN,
    goodfaith_probability DOUBLE,
    reverted_probability DOUBLE,
    score_version STRING,
    revert_risk BOOLEAN,
    revert_risk_probability DOUBLE,
    revert_risk_version STRING,
    intent STRING,
    fallback_score DOUBLE,
    fallback_version STRING,
    record_key AS CAST(NULL AS BYTES),
    error STRING METADATA FROM 'value.error' VIRTUAL,
    error_detail STRING METADATA FROM 'value.error-detail' VIRTUAL,
    record_value BYTES METADATA FROM 'value.raw' VIRTUAL,
    record_topic STRING METADATA FROM 'topic' VIRTUAL,
    record_partition INT METADATA FROM 'partition' VIRTUAL,
    record_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    record_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
    problem AS CASE
        WHEN error IS NOT NULL THEN error
        WHEN revised_at > record_time + INTERVAL '5' MINUTE THEN 'future_event_time'
    END,
    problem_detail AS CASE
        WHEN error IS NOT NULL THEN error_detail
        WHEN revised_at > record_time + INTERVAL '5' MINUTE THEN 'revised_at is more than 5 minutes after the record arrived.'
    END,
    event_time AS CASE
        WHEN revised_at <= record_time + INTERVAL '5' MINUTE THEN revised_at
        ELSE TO_TIMESTAMP_LTZ(0, 3)
    END,
    WATERMARK FOR event_time AS LEAST(event_time, record_time) - INTERVAL '1' SECOND * ${WIKI_SCORE_WAIT_SECONDS}
) WITH (
    'connector' = 'kafka',
    'topic' = '${PREFIX}judged_revisions',
    'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
    'properties.group.id' = '${PREFIX}crowdpulse',
    'properties.auto.offset.reset' = 'earliest',
    'properties.max.request.size' = '2097152',
    'scan.startup.mode' = '${STARTUP_MODE}',
    'scan.bounded.mode' = '${BOUNDED_MODE}',
    'scan.watermark.idle-timeout' = '1 min',
    'sink.partitioner' = 'fixed',
    'format' = 'checked-json',
    'checked-json.required' = 'wiki;revision_id;revised_at',
    'checked-json.max-size' = '2 mb'
);
