-- One row per event of Wikimedia's stream `mediawiki.page_change.v1` (schema mediawiki/page/change 1.x): a page created,
-- edited, moved, deleted, undeleted, or a revision hidden or shown. Kafka key: wiki and page id. Written by
-- producers/wikimedia.py. Its time is `dt`, when it happened; the schema does not require `meta.dt`.
-- A record that cannot be used has the reason in `problem`, and its time never moves the watermark (see
-- connectors/wiki_recentchange.sql). A title that is missing (suppressed) or no text is null.
CREATE TABLE wiki_page_change (
    record_key BYTES,
    meta ROW<domain STRING, uri STRING, request_id STRING>,
    dt TIMESTAMP_LTZ(3),
    page_change_kind STRING,
    wiki_id STRING,
    page ROW<page_id BIGINT, page_title STRING, namespace_id INT>,
    performer ROW<is_bot BOOLEAN>,
    prior_state ROW<page ROW<page_title STRING>>,
    error STRING METADATA FROM 'value.error' VIRTUAL,
    error_detail STRING METADATA FROM 'value.error-detail' VIRTUAL,
    record_value BYTES METADATA FROM 'value.raw' VIRTUAL,
    record_topic STRING METADATA FROM 'topic' VIRTUAL,
    record_partition INT METADATA FROM 'partition' VIRTUAL,
    record_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    record_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
    problem AS CASE
        WHEN error IS NOT NULL THEN error
        WHEN page_change_kind NOT IN ('create', 'edit', 'move', 'delete', 'undelete', 'visibility_change')
            THEN 'unknown_kind'
        WHEN dt > record_time + INTERVAL '5' MINUTE THEN 'future_event_time'
    END,
    problem_detail AS CASE
        WHEN error IS NOT NULL THEN error_detail
        WHEN page_change_kind NOT IN ('create', 'edit', 'move', 'delete', 'undelete', 'visibility_change')
            THEN 'page_change_kind is none of create, edit, move, delete, undelete, visibility_change.'
        WHEN dt > record_time + INTERVAL '5' MINUTE THEN 'dt is more than 5 minutes after the record arrived.'
    END,
    event_time AS CASE
        WHEN dt <= record_time + INTERVAL '5' MINUTE
            AND page_change_kind IN ('create', 'edit', 'move', 'delete', 'undelete', 'visibility_change')
            THEN dt
        ELSE TO_TIMESTAMP_LTZ(0, 3)
    END,
    WATERMARK FOR event_time AS LEAST(event_time, record_time) - INTERVAL '1' SECOND * ${WIKI_OUT_OF_ORDER_SECONDS}
) WITH (
    'connector' = 'kafka',
    'topic' = '${PREFIX}wiki_page_change',
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
    'value.checked-json.required' = 'dt;page_change_kind;wiki_id;page.page_id',
    'value.checked-json.max-size' = '${MAX_RECORD_BYTES}b'
);
