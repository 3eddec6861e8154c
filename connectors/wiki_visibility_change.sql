-- One row per revision of which something was hidden or shown again (schema mediawiki/revision/visibility-change): its
-- text, its user or its comment. Kafka key: wiki and page id. Written by producers/wikimedia.py.
-- A record that cannot be used has the reason in `problem`, and its time never moves the watermark; that of a good one
-- no further than the record's arrival.
CREATE TABLE wiki_visibility_change (
    record_key BYTES,
    meta ROW<id STRING, dt TIMESTAMP_LTZ(3), domain STRING>,
    `database` STRING,
    rev_id BIGINT,
    visibility ROW<text BOOLEAN, `user` BOOLEAN, `comment` BOOLEAN>,
    error STRING METADATA FROM 'value.error' VIRTUAL,
    error_detail STRING METADATA FROM 'value.error-detail' VIRTUAL,
    record_value BYTES METADATA FROM 'value.raw' VIRTUAL,
    record_topic STRING METADATA FROM 'topic' VIRTUAL,
    record_partition INT METADATA FROM 'partition' VIRTUAL,
    record_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    record_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
    problem AS CASE
        WHEN error IS NOT NULL THEN error
        WHEN meta.dt > record_time + INTERVAL '5' MINUTE THEN 'future_event_time'
    END,
    problem_detail AS CASE
        WHEN error IS NOT NULL THEN error_detail
        WHEN meta.dt > record_time + INTERVAL '5' MINUTE THEN 'meta.dt is more than 5 minutes after the record arrived.'
    END,
    event_time AS CASE
        WHEN meta.dt <= record_time + INTERVAL '5' MINUTE THEN meta.dt
        ELSE TO_TIMESTAMP_LTZ(0, 3)
    END,
    WATERMARK FOR event_time AS LEAST(event_time, record_time) - INTERVAL '1' SECOND * ${WIKI_OUT_OF_ORDER_SECONDS}
) WITH (
    'connector' = 'kafka',
    'topic' = '${PREFIX}wiki_visibility_change',
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
    'value.checked-json.required' = 'database;rev_id;meta.dt;visibility',
    'value.checked-json.max-size' = '${MAX_RECORD_BYTES}b'
);
