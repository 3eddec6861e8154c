-- One document per alert: a minute in which a platform or topic left its usual band. Key: window_start, window_end,
-- dimension, name, metric. Written by jobs/social_metrics.py. `dimension`: platform or topic; `metric`: posts or
-- toxic_share. The rule stands in jobs/social_metrics.py: `value` is outside of `lower` to `upper`, which are `usual`
-- less and plus so many times `deviation`. `minutes`: how many minutes before it the band is of.
CREATE TABLE social_alerts (
    window_start TIMESTAMP_LTZ(3),
    window_end TIMESTAMP_LTZ(3),
    dimension STRING,
    name STRING,
    metric STRING,
    direction STRING,
    `value` DOUBLE,
    usual DOUBLE,
    deviation DOUBLE,
    `lower` DOUBLE,
    `upper` DOUBLE,
    `minutes` BIGINT,
    posts BIGINT,
    toxic_posts BIGINT,
    scored_posts BIGINT,
    PRIMARY KEY (window_start, window_end, dimension, name, metric) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}social_alerts',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
