-- One row per prediction for a revision (schema mediawiki/page/prediction_classification_change): how likely it is to be
-- reverted, and what its page is about; `model_name` tells which. Kafka key: wiki and page id. Written by
-- producers/wikimedia.py and producers/liftwing.py.
-- Its time is `revision.rev_dt`, which every event about the same revision carries.
-- A record that cannot be used has the reason in `problem`, and its time never moves the watermark; that of a good one
-- no further than the record's arrival.
CREATE TABLE wiki_predictions (
    record_key BYTES,
    meta ROW<id STRING, dt TIMESTAMP_LTZ(3), domain STRING, uri STRING, request_id STRING>,
    wiki_id STRING,
    page ROW<page_id BIGINT, page_title STRING, namespace_id INT>,
    performer ROW<
        user_text STRING, `groups` ARRAY<STRING>, is_bot BOOLEAN, registration_dt TIMESTAMP_LTZ(3), edit_count BIGINT
    >,
    revision ROW<
        rev_id BIGINT, rev_dt TIMESTAMP_LTZ(3), rev_parent_id BIGINT, rev_size BIGINT, is_minor_edit BOOLEAN,
        `comment` STRING
    >,
    prior_state ROW<revision ROW<rev_size BIGINT>>,
    predicted_classification ROW<
        model_name STRING, model_version STRING, predictions ARRAY<STRING>, probabilities MAP<STRING, DOUBLE>
    >,
    error STRING METADATA FROM 'value.error' VIRTUAL,
    error_detail STRING METADATA FROM 'value.error-detail' VIRTUAL,
    record_value BYTES METADATA FROM 'value.raw' VIRTUAL,
    record_topic STRING METADATA FROM 'topic' VIRTUAL,
    record_partition INT METADATA FROM 'partition' VIRTUAL,
    record_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    record_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
    problem AS CASE
        WHEN error IS NOT NULL THEN error
        WHEN revision.rev_dt > record_time + INTERVAL '5' MINUTE THEN 'future_event_time'
    END,
    problem_detail AS CASE
        WHEN error IS NOT NULL THEN error_detail
        WHEN revision.rev_dt > record_time + INTERVAL '5' MINUTE THEN 'revision.rev_dt is more than 5 minutes after the record arrived.'
    END,
    event_time AS CASE
        WHEN revision.rev_dt <= record_time + INTERVAL '5' MINUTE THEN revision.rev_dt
        ELSE TO_TIMESTAMP_LTZ(0, 3)
    END,
    WATERMARK FOR event_time AS LEAST(event_time, record_time) - INTERVAL '1' SECOND * ${WIKI_SCORE_WAIT_SECONDS}
) WITH (
    'connector' = 'kafka',
    'topic' = '${PREFIX}wiki_revert_risk;${PREFIX}wiki_outlink_topics',
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
    'value.checked-json.required' = 'wiki_id;revision.rev_id;revision.rev_dt',
    'value.checked-json.max-size' = '${MAX_RECORD_BYTES}b'
);
