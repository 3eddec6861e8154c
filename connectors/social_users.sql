-- One document per user and hour, of the users who posted in it; the hours begin every ten minutes. Key: window_start,
-- window_end, user_id. Written by jobs/social_metrics.py. Name, platform, followers and marks are those of the user's
-- latest post that tells the followers, of the latest post where none does. `reach`: views of the posts.
-- `engagement_rate`: engagements per view. `toxic_share`: of the scored posts.
CREATE TABLE social_users (
    window_start TIMESTAMP_LTZ(3),
    window_end TIMESTAMP_LTZ(3),
    user_id STRING,
    username STRING,
    platform STRING,
    followers BIGINT,
    is_verified BOOLEAN,
    is_influencer BOOLEAN,
    posts BIGINT,
    reach BIGINT,
    engagements BIGINT,
    engagement_rate DOUBLE,
    toxic_posts BIGINT,
    toxic_share DOUBLE,
    PRIMARY KEY (window_start, window_end, user_id) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}social_users',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
