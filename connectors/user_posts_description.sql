-- One row per post of Instagram each time that it was gathered. Kafka key: username. Written by producers/instagram.py.
-- A record without a value is a tombstone: the person of its key is to be forgotten (python -m jobs.forget).
-- Required, else the record has its reason in `problem`: username, post_id (the post's short code), `timestamp` (when it
-- was posted) and taken_at (when it was gathered). A post may have no caption.
CREATE TABLE user_posts_description (
    record_key BYTES,
    username STRING,
    post_id STRING,
    caption STRING,
    hashtags ARRAY<STRING>,
    mentions ARRAY<STRING>,
    likes BIGINT,
    comments BIGINT,
    `timestamp` TIMESTAMP_LTZ(3),
    taken_at TIMESTAMP_LTZ(3),
    error STRING METADATA FROM 'value.error' VIRTUAL,
    error_detail STRING METADATA FROM 'value.error-detail' VIRTUAL,
    wrong_types ARRAY<STRING> METADATA FROM 'value.odd-fields' VIRTUAL,
    record_value BYTES METADATA FROM 'value.raw' VIRTUAL,
    record_topic STRING METADATA FROM 'topic' VIRTUAL,
    record_partition INT METADATA FROM 'partition' VIRTUAL,
    record_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    record_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
    problem AS CASE
        WHEN record_value IS NULL AND record_key IS NOT NULL THEN NULL
        WHEN error IS NOT NULL THEN error
        WHEN NOT REGEXP(username, '^(?![.])(?!.*[.][.])[a-z0-9_.]{1,30}(?<![.])$') THEN 'out_of_range'
        WHEN CHAR_LENGTH(post_id) NOT BETWEEN 1 AND 64 THEN 'out_of_range'
        WHEN `timestamp` > record_time + INTERVAL '5' MINUTE THEN 'future_event_time'
    END,
    problem_detail AS CASE
        WHEN record_value IS NULL AND record_key IS NOT NULL THEN NULL
        WHEN error IS NOT NULL THEN error_detail
        WHEN NOT REGEXP(username, '^(?![.])(?!.*[.][.])[a-z0-9_.]{1,30}(?<![.])$') THEN 'The username is none of Instagram.'
        WHEN CHAR_LENGTH(post_id) NOT BETWEEN 1 AND 64 THEN 'post_id has not 1 to 64 characters.'
        WHEN `timestamp` > record_time + INTERVAL '5' MINUTE THEN 'timestamp is more than 5 minutes after the record arrived.'
    END
) WITH (
    'connector' = 'kafka',
    'topic' = '${PREFIX}user_posts_description',
    'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
    'properties.group.id' = '${PREFIX}crowdpulse',
    'properties.auto.offset.reset' = 'earliest',
    'scan.startup.mode' = '${STARTUP_MODE}',
    'scan.bounded.mode' = '${BOUNDED_MODE}',
    'key.format' = 'raw',
    'key.fields' = 'record_key',
    'value.format' = 'checked-json',
    'value.fields-include' = 'EXCEPT_KEY',
    'value.checked-json.required' = 'username;post_id;timestamp;taken_at',
    'value.checked-json.max-size' = '${MAX_RECORD_BYTES}b'
);
