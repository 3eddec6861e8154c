-- One row per event of Wikimedia's stream `recentchange`: edits, new pages, log actions, categorizations and the rest.
-- Kafka key: wiki and title. Written by producers/wikimedia.py.
-- A record that cannot be used has the reason in `problem`, and its time never moves the watermark; a time more than five
-- minutes ahead of the record's arrival is such a reason. A time less far ahead is good, but moves it no further than the
-- arrival: one fast clock makes nobody else late.
CREATE TABLE wiki_recentchange (
    record_key BYTES,
    meta ROW<id STRING, dt TIMESTAMP_LTZ(3), domain STRING, uri STRING>,
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
        WHEN `type` IN ('edit', 'new') AND revision.`new` IS NULL THEN 'missing_field'
    END,
    problem_detail AS CASE
        WHEN error IS NOT NULL THEN error_detail
        WHEN meta.dt > record_time + INTERVAL '5' MINUTE THEN 'meta.dt is more than 5 minutes after the record arrived.'
        WHEN `type` IN ('edit', 'new') AND revision.`new` IS NULL THEN 'The field revision.new of an edit is missing.'
    END,
    event_time AS CASE
        WHEN meta.dt <= record_time + INTERVAL '5' MINUTE AND (`type` NOT IN ('edit', 'new') OR revision.`new` IS NOT NULL)
            THEN meta.dt
        ELSE TO_TIMESTAMP_LTZ(0, 3)
    END,
    WATERMARK FOR event_time AS LEAST(event_time, record_time) - INTERVAL '1' SECOND * ${WIKI_OUT_OF_ORDER_SECONDS}
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
    'value.checked-json.required' = 'meta.id;meta.dt;type;wiki;title',
    'value.checked-json.max-size' = '${MAX_RECORD_BYTES}b'
);
