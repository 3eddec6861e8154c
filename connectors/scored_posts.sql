-- One row per version of a social post, validated and scored. Kafka key: user_id, so that a post's versions stay in
-- order; the last is the post. Written by jobs/social_posts.py, within transactions: after a failure no row is there twice.
-- `stated_sentiment` and `stated_language` are what the source says; `sentiment`, `toxicity` and `cyberbullying` are the
-- models'. A text without scores has the reason in `unscored_reason`. `odd_fields`: optional fields that were made null.
-- Rows come in bursts, one with each checkpoint of that job. A partition is idle only after a time in which that job has
-- restarted or waited for Elasticsearch: were it so between two bursts, the first partition to be read would move the
-- watermark alone and make the others late. The topic has as many partitions as social_media, so that the posts of one
-- come from one and are in its order.
-- A record that cannot be used has the reason in `problem`, and its time never moves the watermark; that of a good one
-- no further than the record's arrival.
CREATE TABLE scored_posts (
    post_id STRING,
    user_id STRING,
    username STRING,
    platform STRING,
    post_type STRING,
    content_type STRING,
    topic STRING,
    hashtags ARRAY<STRING>,
    location STRING,
    text STRING,
    stated_sentiment STRING,
    stated_language STRING,
    likes BIGINT,
    shares BIGINT,
    comments BIGINT,
    `views` BIGINT,
    engagement_rate DOUBLE,
    followers BIGINT,
    is_verified BOOLEAN,
    is_influencer BOOLEAN,
    is_viral BOOLEAN,
    posted_at TIMESTAMP_LTZ(3),
    sentiment STRING,
    sentiment_mean DOUBLE,
    toxicity DOUBLE,
    is_toxic BOOLEAN,
    cyberbullying STRING,
    cyberbullying_score DOUBLE,
    bullying DOUBLE,
    `language` STRING,
    trained_language BOOLEAN,
    model_version STRING,
    unscored_reason STRING,
    odd_fields ARRAY<STRING>,
    record_key BYTES,
    error STRING METADATA FROM 'value.error' VIRTUAL,
    error_detail STRING METADATA FROM 'value.error-detail' VIRTUAL,
    record_value BYTES METADATA FROM 'value.raw' VIRTUAL,
    record_topic STRING METADATA FROM 'topic' VIRTUAL,
    record_partition INT METADATA FROM 'partition' VIRTUAL,
    record_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    record_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
    problem AS CASE
        WHEN error IS NOT NULL THEN error
        WHEN posted_at > record_time + INTERVAL '5' MINUTE THEN 'future_event_time'
    END,
    problem_detail AS CASE
        WHEN error IS NOT NULL THEN error_detail
        WHEN posted_at > record_time + INTERVAL '5' MINUTE THEN 'posted_at is more than 5 minutes after the record arrived.'
    END,
    event_time AS CASE
        WHEN posted_at <= record_time + INTERVAL '5' MINUTE THEN posted_at
        ELSE TO_TIMESTAMP_LTZ(0, 3)
    END,
    WATERMARK FOR event_time AS LEAST(event_time, record_time) - INTERVAL '1' SECOND * ${SOCIAL_OUT_OF_ORDER_SECONDS}
) WITH (
    'connector' = 'kafka',
    'topic' = '${PREFIX}scored_posts',
    'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
    'properties.group.id' = '${PREFIX}crowdpulse',
    'properties.auto.offset.reset' = 'earliest',
    'properties.isolation.level' = 'read_committed',
    'properties.transaction.timeout.ms' = '900000',
    'properties.max.request.size' = '2097152',
    'scan.startup.mode' = '${STARTUP_MODE}',
    'scan.bounded.mode' = '${BOUNDED_MODE}',
    'scan.watermark.idle-timeout' = '5 min',
    'sink.delivery-guarantee' = 'exactly-once',
    'sink.transactional-id-prefix' = '${PREFIX}scored_posts',
    'key.format' = 'raw',
    'key.fields' = 'record_key',
    'value.format' = 'checked-json',
    'value.fields-include' = 'EXCEPT_KEY',
    'value.checked-json.required' = 'post_id;user_id;platform;posted_at',
    'value.checked-json.max-size' = '2 mb'
);
