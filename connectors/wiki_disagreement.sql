-- One document per ten minutes and rank: the revisions whose score by Wikimedia (`wikimedia_model`: ORES's damaging, else
-- the risk of a revert) is furthest from our fallback score. Key: window_start, window_end, rank. Written by
-- jobs/wiki_users.py when the window closes.
CREATE TABLE wiki_disagreement (
    window_start TIMESTAMP_LTZ(3),
    window_end TIMESTAMP_LTZ(3),
    `rank` BIGINT,
    wiki STRING,
    revision_id BIGINT,
    title STRING,
    url STRING,
    user_kind STRING,
    is_bot BOOLEAN,
    bytes_changed BIGINT,
    intent STRING,
    wikimedia_model STRING,
    wikimedia_score DOUBLE,
    fallback_score DOUBLE,
    distance DOUBLE,
    PRIMARY KEY (window_start, window_end, `rank`) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}wiki_disagreement',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
