-- One document per hour and rank: the 50 influencers of the most engagements; the hours begin every ten minutes. Key:
-- window_start, window_end, rank. Written by jobs/social_metrics.py. Of equal engagements, the user_id first in order
-- has the better rank. The fields are those of connectors/social_users.sql.
CREATE TABLE social_influencers (
    window_start TIMESTAMP_LTZ(3),
    window_end TIMESTAMP_LTZ(3),
    `rank` BIGINT,
    user_id STRING,
    username STRING,
    platform STRING,
    followers BIGINT,
    is_verified BOOLEAN,
    posts BIGINT,
    reach BIGINT,
    engagements BIGINT,
    engagement_rate DOUBLE,
    toxic_posts BIGINT,
    toxic_share DOUBLE,
    PRIMARY KEY (window_start, window_end, `rank`) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}social_influencers',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
