-- One document per event that came after its window had closed. Key: topic, partition, offset, job.
-- Written by jobs/kept_records.py. `late_seconds`: how far behind the watermark its event time was.
CREATE TABLE late_events_index (
    topic STRING,
    `partition` INT,
    `offset` BIGINT,
    record_time TIMESTAMP_LTZ(3),
    record_key STRING,
    record_text STRING,
    event_time TIMESTAMP_LTZ(3),
    `watermark` TIMESTAMP_LTZ(3),
    late_seconds INT,
    job STRING,
    PRIMARY KEY (topic, `partition`, `offset`, job) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}late_events',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
