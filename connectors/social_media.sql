-- One row per version of a social post as it came: a post is told again, under the same post_id and timestamp (when it was
-- posted, not when it was told), when its counts grow.
-- Kafka key: user_id, so that the versions of a post stay in order. Written by producers/posts.py.
--
-- Required, else the record has its reason in `problem`: post_id, user_id (1 to 128 characters), platform (one of the
-- six) and timestamp (ISO 8601 with an offset, at most five minutes ahead of the record's arrival). Every other field is
-- optional: jobs/social_posts.py makes an odd value null and names its field in `odd_fields`.
CREATE TABLE social_media (
    record_key BYTES,
    post_id STRING,
    user_id STRING,
    username STRING,
    platform STRING,
    post_type STRING,
    content_type STRING,
    topic STRING,
    hashtags ARRAY<STRING>,
    sentiment STRING,
    location STRING,
    likes BIGINT,
    shares BIGINT,
    comments BIGINT,
    `views` BIGINT,
    engagement_rate DOUBLE,
    followers BIGINT,
    is_verified BOOLEAN,
    is_influencer BOOLEAN,
    is_viral BOOLEAN,
    `timestamp` TIMESTAMP_LTZ(3),
    `language` STRING,
    text STRING,
    error STRING METADATA FROM 'value.error' VIRTUAL,
    error_detail STRING METADATA FROM 'value.error-detail' VIRTUAL,
    wrong_types ARRAY<STRING> METADATA FROM 'value.odd-fields' VIRTUAL,
    record_value BYTES METADATA FROM 'value.raw' VIRTUAL,
    record_topic STRING METADATA FROM 'topic' VIRTUAL,
    record_partition INT METADATA FROM 'partition' VIRTUAL,
    record_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    record_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
    problem AS CASE
        WHEN error IS NOT NULL THEN error
        WHEN platform NOT IN ('Twitter', 'Instagram', 'Facebook', 'LinkedIn', 'TikTok', 'YouTube') THEN 'unknown_platform'
        WHEN CHAR_LENGTH(post_id) NOT BETWEEN 1 AND 128 THEN 'out_of_range'
        WHEN CHAR_LENGTH(user_id) NOT BETWEEN 1 AND 128 THEN 'out_of_range'
        WHEN `timestamp` > record_time + INTERVAL '5' MINUTE THEN 'future_event_time'
    END,
    problem_detail AS CASE
        WHEN error IS NOT NULL THEN error_detail
        WHEN platform NOT IN ('Twitter', 'Instagram', 'Facebook', 'LinkedIn', 'TikTok', 'YouTube')
            THEN 'The platform is none of Twitter, Instagram, Facebook, LinkedIn, TikTok, YouTube.'
        WHEN CHAR_LENGTH(post_id) NOT BETWEEN 1 AND 128 THEN 'post_id has not 1 to 128 characters.'
        WHEN CHAR_LENGTH(user_id) NOT BETWEEN 1 AND 128 THEN 'user_id has not 1 to 128 characters.'
        WHEN `timestamp` > record_time + INTERVAL '5' MINUTE THEN 'timestamp is more than 5 minutes after the record arrived.'
    END
) WITH (
    'connector' = 'kafka',
    'topic' = '${PREFIX}social_media',
    'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
    'properties.group.id' = '${PREFIX}crowdpulse',
    'properties.auto.offset.reset' = 'earliest',
    'scan.startup.mode' = '${STARTUP_MODE}',
    'scan.bounded.mode' = '${BOUNDED_MODE}',
    'key.format' = 'raw',
    'key.fields' = 'record_key',
    'value.format' = 'checked-json',
    'value.fields-include' = 'EXCEPT_KEY',
    'value.checked-json.required' = 'post_id;user_id;platform;timestamp',
    'value.checked-json.max-size' = '${MAX_RECORD_BYTES}b'
);
