-- One row per picture of a post each time that it was gathered; a video by its cover. Kafka key: username. Written by
-- producers/instagram.py. The picture itself is in S3.
-- A record without a value is a tombstone: the person of its key is to be forgotten (python -m jobs.forget).
-- Required, else the record has its reason in `problem`: username, post_id, bucket, s3_path (the key in the bucket),
-- content_hash (SHA-256 of the bytes, in hexadecimal, of which s3_path is made), media_type (image, video), `timestamp` (when it was posted), taken_at.
CREATE TABLE user_post_images (
    record_key BYTES,
    username STRING,
    post_id STRING,
    bucket STRING,
    s3_path STRING,
    content_hash STRING,
    media_type STRING,
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
        WHEN NOT REGEXP(content_hash, '^[0-9a-f]{64}$') THEN 'out_of_range'
        WHEN bucket <> '${S3_BUCKET}' OR s3_path NOT LIKE CONCAT('images/', SUBSTRING(content_hash, 1, 2), '/', content_hash, '.%') THEN 'unknown_picture'
        WHEN media_type NOT IN ('image', 'video') THEN 'unknown_media_type'
        WHEN `timestamp` > record_time + INTERVAL '5' MINUTE THEN 'future_event_time'
    END,
    problem_detail AS CASE
        WHEN record_value IS NULL AND record_key IS NOT NULL THEN NULL
        WHEN error IS NOT NULL THEN error_detail
        WHEN NOT REGEXP(username, '^(?![.])(?!.*[.][.])[a-z0-9_.]{1,30}(?<![.])$') THEN 'The username is none of Instagram.'
        WHEN CHAR_LENGTH(post_id) NOT BETWEEN 1 AND 64 THEN 'post_id has not 1 to 64 characters.'
        WHEN NOT REGEXP(content_hash, '^[0-9a-f]{64}$') THEN 'content_hash is no SHA-256 in hexadecimal.'
        WHEN bucket <> '${S3_BUCKET}' OR s3_path NOT LIKE CONCAT('images/', SUBSTRING(content_hash, 1, 2), '/', content_hash, '.%') THEN 'The picture is not where producers/instagram.py puts it: CROWDPULSE_S3_BUCKET, images/ and its hash.'
        WHEN media_type NOT IN ('image', 'video') THEN 'The media_type is none of image, video.'
        WHEN `timestamp` > record_time + INTERVAL '5' MINUTE THEN 'timestamp is more than 5 minutes after the record arrived.'
    END
) WITH (
    'connector' = 'kafka',
    'topic' = '${PREFIX}user_post_images',
    'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
    'properties.group.id' = '${PREFIX}crowdpulse',
    'properties.auto.offset.reset' = 'earliest',
    'scan.startup.mode' = '${STARTUP_MODE}',
    'scan.bounded.mode' = '${BOUNDED_MODE}',
    'key.format' = 'raw',
    'key.fields' = 'record_key',
    'value.format' = 'checked-json',
    'value.fields-include' = 'EXCEPT_KEY',
    'value.checked-json.required' = 'username;post_id;bucket;s3_path;content_hash;media_type;timestamp;taken_at',
    'value.checked-json.max-size' = '${MAX_RECORD_BYTES}b'
);
