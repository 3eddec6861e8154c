-- One document per Flink job and sample: how it does. Key: job_id, sampled_at. Written by services/job_metrics.py, which
-- says how each figure is made; no Flink job writes it. What is counted is since the sample before, and null in the first
-- of a job and after a restart: `records_in` from Kafka, `records_out` to all sinks, and their bytes; `late_dropped`, rows
-- that Flink's windows dropped as late without a word, beyond what `late_events` tells (0, as a rule). Ratios are of the
-- time since then, of the job's busiest or most backpressured vertex, 0 to 1.
CREATE TABLE job_metrics (
    job STRING,
    job_id STRING,
    sampled_at TIMESTAMP_LTZ(3),
    `state` STRING,
    uptime_seconds DOUBLE,
    restarts BIGINT,
    records_in BIGINT,
    records_out BIGINT,
    bytes_in BIGINT,
    bytes_out BIGINT,
    records_in_per_second DOUBLE,
    records_out_per_second DOUBLE,
    event_time_lag_seconds DOUBLE,
    read_lag_seconds DOUBLE,
    pending_records BIGINT,
    last_checkpoint_seconds DOUBLE,
    last_checkpoint_age_seconds DOUBLE,
    checkpoint_bytes BIGINT,
    failed_checkpoints BIGINT,
    late_dropped BIGINT,
    busy_ratio DOUBLE,
    backpressured_ratio DOUBLE,
    PRIMARY KEY (job_id, sampled_at) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}job_metrics',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
