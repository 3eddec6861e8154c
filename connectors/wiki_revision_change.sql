-- The topic of wiki_recentchange once more, with the time that its edits share with every other event about the same
-- revision: `timestamp`, in seconds; `meta.dt`, the time of wiki_recentchange, can be later. Kafka key: wiki and title.
-- Written by producers/wikimedia.py. Records that no job can read are told by wiki_edits; here only the time is judged.
-- A record that cannot be used has the reason in `problem`, and its time never moves the watermark; that of a good one
-- no further than the record's arrival.
CREATE TABLE wiki_revision_change (
    record_key BYTES,
    meta ROW<dt TIMESTAMP_LTZ(3), domain STRING, uri STRING, request_id STRING>,
    `type` STRING,
    wiki STRING,
    namespace INT,
    title STRING,
    `comment` STRING,
    `user` STRING,
    bot BOOLEAN,
    minor BOOLEAN,
    `length` ROW<`old` BIGINT, `new` BIGINT>,
    revision ROW<`old` BIGINT, `new` BIGINT>,
    `timestamp` BIGINT,
    error STRING METADATA FROM 'value.error' VIRTUAL,
    error_detail STRING METADATA FROM 'value.error-detail' VIRTUAL,
    record_value BYTES METADATA FROM 'value.raw' VIRTUAL,
    record_topic STRING METADATA FROM 'topic' VIRTUAL,
    record_partition INT METADATA FROM 'partition' VIRTUAL,
    record_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    record_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
    problem AS CASE
        WHEN error IS NOT NULL THEN error
        WHEN `timestamp` IS NULL THEN 'missing_field'
        WHEN TO_TIMESTAMP_LTZ(`timestamp`, 0) > record_time + INTERVAL '5' MINUTE THEN 'future_event_time'
    END,
    problem_detail AS CASE
        WHEN error IS NOT NULL THEN error_detail
        WHEN `timestamp` IS NULL THEN 'The field timestamp is missing.'
        WHEN TO_TIMESTAMP_LTZ(`timestamp`, 0) > record_time + INTERVAL '5' MINUTE
            THEN 'timestamp is more than 5 minutes after the record arrived.'
    END,
    event_time AS CASE
        WHEN TO_TIMESTAMP_LTZ(`timestamp`, 0) <= record_time + INTERVAL '5' MINUTE THEN TO_TIMESTAMP_LTZ(`timestamp`, 0)
        ELSE TO_TIMESTAMP_LTZ(0, 3)
    END,
    WATERMARK FOR event_time AS LEAST(event_time, record_time) - INTERVAL '1' SECOND * ${WIKI_SCORE_WAIT_SECONDS}
) WITH (
    'connector' = 'kafka',
    'topic' = '${PREFIX}wiki_recentchange',
    'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
    'properties.group.id' = '${PREFIX}crowdpulse',
    'properties.auto.offset.reset' = 'earliest',
    'scan.startup.mode' = '${STARTUP_MODE}',
    'scan.bounded.mode' = '${BOUNDED_MODE}',
    'scan.watermark.idle-timeout' = '5 min',
    'key.format' = 'raw',
    'key.fields' = 'record_key',
    'value.format' = 'checked-json',
    'value.fields-include' = 'EXCEPT_KEY',
    'value.checked-json.required' = 'meta.dt;type;wiki',
    'value.checked-json.max-size' = '${MAX_RECORD_BYTES}b'
);
