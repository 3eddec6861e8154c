-- One document per minute and platform, topic, sentiment, content type and post type. Key: window_start, window_end,
-- platform, topic, sentiment, content_type, post_type. Written by jobs/social_metrics.py. `sentiment` is the model's;
-- what is not known is 'unknown', a text without scores 'unscored'. A post counts once, in its latest version of that
-- minute. `engagements`: likes, shares and comments. `mean_engagement_rate`: of the posts that have one.
CREATE TABLE social_metrics (
    window_start TIMESTAMP_LTZ(3),
    window_end TIMESTAMP_LTZ(3),
    platform STRING,
    topic STRING,
    sentiment STRING,
    content_type STRING,
    post_type STRING,
    posts BIGINT,
    likes BIGINT,
    shares BIGINT,
    comments BIGINT,
    `views` BIGINT,
    engagements BIGINT,
    mean_engagement_rate DOUBLE,
    viral_posts BIGINT,
    verified_users BIGINT,
    influencer_users BIGINT,
    toxic_posts BIGINT,
    bullying_posts BIGINT,
    unscored_posts BIGINT,
    PRIMARY KEY (window_start, window_end, platform, topic, sentiment, content_type, post_type) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}social_metrics',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
