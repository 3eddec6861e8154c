-- One document per person and calendar month (UTC) with posts: what their captions say. Key: username, period_start.
-- Written by jobs/background_check.py.
CREATE TABLE background_captions (
    username STRING,
    period_start TIMESTAMP_LTZ(3),
    posts BIGINT,
    captions BIGINT,
    unscored_captions BIGINT,
    unscored_reasons ARRAY<ROW<`value` STRING, `count` BIGINT>>,
    first_posted_at TIMESTAMP_LTZ(3),
    last_posted_at TIMESTAMP_LTZ(3),
    sentiment_mean DOUBLE,
    toxic_captions BIGINT,
    toxic_share DOUBLE,
    bullying_captions BIGINT,
    bullying_share DOUBLE,
    cyberbullying ARRAY<ROW<`value` STRING, `count` BIGINT>>,
    key_phrases ARRAY<ROW<`value` STRING, `count` BIGINT>>,
    present_keywords ARRAY<ROW<theme STRING, keyword STRING, posts BIGINT, negated_posts BIGINT, post_ids ARRAY<STRING>>>,
    model_version STRING,
    updated_at TIMESTAMP_LTZ(3),
    PRIMARY KEY (username, period_start) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}background_captions',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
