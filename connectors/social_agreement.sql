-- One document per five minutes, stated sentiment and sentiment of the model. Key: window_start, window_end,
-- stated_sentiment, sentiment. Written by jobs/social_metrics.py. Of the posts that have both. The share of the posts
-- in documents with `agrees` is the running agreement.
CREATE TABLE social_agreement (
    window_start TIMESTAMP_LTZ(3),
    window_end TIMESTAMP_LTZ(3),
    stated_sentiment STRING,
    sentiment STRING,
    agrees BOOLEAN,
    posts BIGINT,
    PRIMARY KEY (window_start, window_end, stated_sentiment, sentiment) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}social_agreement',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
