-- One document per five minutes and rank: the 50 hashtags of the most posts. Key: window_start, window_end, rank.
-- Written by jobs/social_metrics.py. Of equally many posts, the hashtag first in order has the better rank. `trend`:
-- `posts` less `previous_posts`, those of the five minutes before. Hashtags are in lower case, without #.
CREATE TABLE social_hashtags (
    window_start TIMESTAMP_LTZ(3),
    window_end TIMESTAMP_LTZ(3),
    `rank` BIGINT,
    hashtag STRING,
    posts BIGINT,
    previous_posts BIGINT,
    trend BIGINT,
    PRIMARY KEY (window_start, window_end, `rank`) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}social_hashtags',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
