-- One row per record that a job could not use, with its bytes and the reason. Key: topic, partition, offset of that record.
-- Written by every job that reads from outside; read by jobs/kept_records.py and jobs/replay.py.
CREATE TABLE dead_letters (
    topic STRING,
    `partition` INT,
    `offset` BIGINT,
    record_time TIMESTAMP_LTZ(3),
    record_key BYTES,
    record_value BYTES,
    reason STRING,
    detail STRING,
    job STRING,
    rejected_at TIMESTAMP_LTZ(3),
    error STRING METADATA FROM 'value.error' VIRTUAL,
    error_detail STRING METADATA FROM 'value.error-detail' VIRTUAL,
    kafka_value BYTES METADATA FROM 'value.raw' VIRTUAL,
    kafka_topic STRING METADATA FROM 'topic' VIRTUAL,
    kafka_partition INT METADATA FROM 'partition' VIRTUAL,
    kafka_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    kafka_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
) WITH (
    'connector' = 'kafka',
    'topic' = '${PREFIX}dead_letters',
    'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
    'properties.group.id' = '${PREFIX}crowdpulse',
    'properties.auto.offset.reset' = 'earliest',
    'properties.max.request.size' = '8388608',
    'scan.startup.mode' = '${STARTUP_MODE}',
    'scan.bounded.mode' = '${BOUNDED_MODE}',
    'format' = 'checked-json',
    'checked-json.required' = 'topic;partition;offset;reason;job',
    'checked-json.max-size' = '8 mb'
);
