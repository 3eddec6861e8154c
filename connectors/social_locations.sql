-- One document per five minutes and location. Key: window_start, window_end, location. Written by
-- jobs/social_metrics.py. `coordinates`: of the places in connectors/cities.csv, null for others.
CREATE TABLE social_locations (
    window_start TIMESTAMP_LTZ(3),
    window_end TIMESTAMP_LTZ(3),
    location STRING,
    country STRING,
    coordinates ROW<lat DOUBLE, lon DOUBLE>,
    posts BIGINT,
    likes BIGINT,
    engagements BIGINT,
    toxic_posts BIGINT,
    PRIMARY KEY (window_start, window_end, location) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}social_locations',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
