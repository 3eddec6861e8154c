-- One document per record that a job could not use. Key: topic, partition, offset, job. Written by jobs/kept_records.py.
-- `record_value` has its bytes in base64, `record_text` their beginning read as UTF-8, to look at.
CREATE TABLE dead_letters_index (
    topic STRING,
    `partition` INT,
    `offset` BIGINT,
    record_time TIMESTAMP_LTZ(3),
    record_key STRING,
    record_value BYTES,
    record_text STRING,
    reason STRING,
    detail STRING,
    job STRING,
    rejected_at TIMESTAMP_LTZ(3),
    PRIMARY KEY (topic, `partition`, `offset`, job) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}dead_letters',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
