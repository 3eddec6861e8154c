-- One row per event of Wikimedia's streams `page-create`, `page-delete` and `page-move`, which share a shape; `meta.stream`
-- tells which it is. Kafka key: wiki and page id. Three topics, written by producers/wikimedia.py.
-- A record that cannot be used has the reason in `problem`, and its time never moves the watermark (see
-- connectors/wiki_recentchange.sql). A title that is missing (suppressed) or no text is null.
CREATE TABLE wiki_page_log (
    record_key BYTES,
    meta ROW<`stream` STRING, dt TIMESTAMP_LTZ(3), domain STRING, uri STRING, request_id STRING>,
    `database` STRING,
    page_id BIGINT,
    page_title STRING,
    page_namespace INT,
    performer ROW<user_is_bot BOOLEAN>,
    prior_state ROW<page_title STRING>,
    error STRING METADATA FROM 'value.error' VIRTUAL,
    error_detail STRING METADATA FROM 'value.error-detail' VIRTUAL,
    record_value BYTES METADATA FROM 'value.raw' VIRTUAL,
    record_topic STRING METADATA FROM 'topic' VIRTUAL,
    record_partition INT METADATA FROM 'partition' VIRTUAL,
    record_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    record_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
    problem AS CASE
        WHEN error IS NOT NULL THEN error
        WHEN meta.`stream` NOT IN ('mediawiki.page-create', 'mediawiki.page-delete', 'mediawiki.page-move')
            THEN 'unknown_stream'
        WHEN meta.dt > record_time + INTERVAL '5' MINUTE THEN 'future_event_time'
    END,
    problem_detail AS CASE
        WHEN error IS NOT NULL THEN error_detail
        WHEN meta.`stream` NOT IN ('mediawiki.page-create', 'mediawiki.page-delete', 'mediawiki.page-move')
            THEN 'meta.stream is none of mediawiki.page-create, mediawiki.page-delete, mediawiki.page-move.'
        WHEN meta.dt > record_time + INTERVAL '5' MINUTE THEN 'meta.dt is more than 5 minutes after the record arrived.'
    END,
    event_time AS CASE
        WHEN meta.dt <= record_time + INTERVAL '5' MINUTE
            AND meta.`stream` IN ('mediawiki.page-create', 'mediawiki.page-delete', 'mediawiki.page-move')
            THEN meta.dt
        ELSE TO_TIMESTAMP_LTZ(0, 3)
    END,
    WATERMARK FOR event_time AS LEAST(event_time, record_time) - INTERVAL '1' SECOND * ${WIKI_OUT_OF_ORDER_SECONDS}
) WITH (
    'connector' = 'kafka',
    'topic' = '${PREFIX}wiki_page_create;${PREFIX}wiki_page_delete;${PREFIX}wiki_page_move',
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
    'value.checked-json.required' = 'meta.stream;meta.dt;database;page_id',
    'value.checked-json.max-size' = '${MAX_RECORD_BYTES}b'
);
