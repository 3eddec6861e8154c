-- One row per version of a policy that was published: for the decisions (slot `champion`) or beside them, without effect
-- (slot `shadow`; a null policy there ends it). Kafka key: slot:version, so that compaction keeps every version: a replay
-- needs the old ones. Written by `python -m jobs.policy`.
-- In force from `valid_from`, which is at least ten seconds after it was written: by then every reader has it. After five
-- seconds this topic is idle and holds no message up.
CREATE TABLE moderation_policies (
    record_key BYTES,
    slot STRING,
    version STRING,
    policy STRING,
    valid_from TIMESTAMP_LTZ(3),
    error STRING METADATA FROM 'value.error' VIRTUAL,
    error_detail STRING METADATA FROM 'value.error-detail' VIRTUAL,
    record_value BYTES METADATA FROM 'value.raw' VIRTUAL,
    record_topic STRING METADATA FROM 'topic' VIRTUAL,
    record_partition INT METADATA FROM 'partition' VIRTUAL,
    record_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    record_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
    problem AS CASE
        WHEN error IS NOT NULL THEN error
        WHEN slot NOT IN ('champion', 'shadow') THEN 'unknown_slot'
        WHEN slot = 'champion' AND policy IS NULL THEN 'missing_field'
    END,
    problem_detail AS CASE
        WHEN error IS NOT NULL THEN error_detail
        WHEN slot NOT IN ('champion', 'shadow') THEN 'The slot is none of champion, shadow.'
        WHEN slot = 'champion' AND policy IS NULL THEN 'policy is missing: only slot shadow may be without one.'
    END,
    event_time AS COALESCE(valid_from, TO_TIMESTAMP_LTZ(0, 3)),
    WATERMARK FOR event_time AS event_time
) WITH (
    'connector' = 'kafka',
    'topic' = '${PREFIX}moderation_policies',
    'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
    'properties.group.id' = '${PREFIX}crowdpulse',
    'properties.auto.offset.reset' = 'earliest',
    'scan.startup.mode' = 'earliest-offset',
    'scan.bounded.mode' = '${BOUNDED_MODE}',
    'scan.watermark.idle-timeout' = '5 s',
    'key.format' = 'raw',
    'key.fields' = 'record_key',
    'value.format' = 'checked-json',
    'value.fields-include' = 'EXCEPT_KEY',
    'value.checked-json.required' = 'slot;version;valid_from',
    'value.checked-json.max-size' = '${MAX_RECORD_BYTES}b'
);
