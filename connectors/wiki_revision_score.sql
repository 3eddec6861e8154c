-- One row per revision that was scored by ORES, as the stream `revision-score` told it (schema mediawiki/revision/score 2
-- and 3; Wikimedia has ended it, so it comes from recordings or is generated). Kafka key: wiki and page id. Written by
-- producers/wikimedia.py. `scores` is an open map of models, of which these are read; `errors` are those that failed.
-- Its time is `rev_timestamp`, which every event about the same revision carries.
-- A record that cannot be used has the reason in `problem`, and its time never moves the watermark; that of a good one
-- no further than the record's arrival.
CREATE TABLE wiki_revision_score (
    record_key BYTES,
    meta ROW<id STRING, dt TIMESTAMP_LTZ(3), domain STRING, uri STRING, request_id STRING>,
    `database` STRING,
    page_id BIGINT,
    page_title STRING,
    page_namespace INT,
    rev_id BIGINT,
    rev_parent_id BIGINT,
    rev_timestamp TIMESTAMP_LTZ(3),
    performer ROW<
        user_text STRING, user_groups ARRAY<STRING>, user_is_bot BOOLEAN, user_registration_dt TIMESTAMP_LTZ(3),
        user_edit_count BIGINT
    >,
    scores ROW<
        damaging ROW<model_version STRING, prediction ARRAY<STRING>, probability MAP<STRING, DOUBLE>>,
        goodfaith ROW<model_version STRING, prediction ARRAY<STRING>, probability MAP<STRING, DOUBLE>>,
        reverted ROW<model_version STRING, prediction ARRAY<STRING>, probability MAP<STRING, DOUBLE>>,
        articletopic ROW<prediction ARRAY<STRING>>,
        drafttopic ROW<prediction ARRAY<STRING>>,
        itemtopic ROW<prediction ARRAY<STRING>>
    >,
    errors MAP<STRING, ROW<`type` STRING>>,
    error STRING METADATA FROM 'value.error' VIRTUAL,
    error_detail STRING METADATA FROM 'value.error-detail' VIRTUAL,
    record_value BYTES METADATA FROM 'value.raw' VIRTUAL,
    record_topic STRING METADATA FROM 'topic' VIRTUAL,
    record_partition INT METADATA FROM 'partition' VIRTUAL,
    record_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    record_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
    problem AS CASE
        WHEN error IS NOT NULL THEN error
        WHEN rev_timestamp > record_time + INTERVAL '5' MINUTE THEN 'future_event_time'
    END,
    problem_detail AS CASE
        WHEN error IS NOT NULL THEN error_detail
        WHEN rev_timestamp > record_time + INTERVAL '5' MINUTE THEN 'rev_timestamp is more than 5 minutes after the record arrived.'
    END,
    event_time AS CASE
        WHEN rev_timestamp <= record_time + INTERVAL '5' MINUTE THEN rev_timestamp
        ELSE TO_TIMESTAMP_LTZ(0, 3)
    END,
    WATERMARK FOR event_time AS LEAST(event_time, record_time) - INTERVAL '1' SECOND * ${WIKI_SCORE_WAIT_SECONDS}
) WITH (
    'connector' = 'kafka',
    'topic' = '${PREFIX}wiki_revision_score',
    'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
    'properties.group.id' = '${PREFIX}crowdpulse',
    'properties.auto.offset.reset' = 'earliest',
    'scan.startup.mode' = '${STARTUP_MODE}',
    'scan.bounded.mode' = '${BOUNDED_MODE}',
    'scan.watermark.idle-timeout' = '10 s',
    'key.format' = 'raw',
    'key.fields' = 'record_key',
    'value.format' = 'checked-json',
    'value.fields-include' = 'EXCEPT_KEY',
    'value.checked-json.required' = 'database;rev_id;rev_timestamp',
    'value.checked-json.max-size' = '${MAX_RECORD_BYTES}b'
);
