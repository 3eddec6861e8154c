-- One document per index and sample: what it holds. Key: index, sampled_at. Written by services/job_metrics.py; no Flink
-- job writes it. `index` is without the prefix. `added`: more documents than at the sample before; null in the first and
-- where they have become fewer. `newest`: the highest value of the index's time field, null without documents.
CREATE TABLE index_metrics (
    `index` STRING,
    sampled_at TIMESTAMP_LTZ(3),
    documents BIGINT,
    added BIGINT,
    `bytes` BIGINT,
    newest TIMESTAMP_LTZ(3),
    newest_age_seconds DOUBLE,
    PRIMARY KEY (`index`, sampled_at) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}index_metrics',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
