-- One row per good event that came after its window had closed, with its bytes. Key: topic, partition, offset of its record.
-- Written by every job with windows; read by jobs/kept_records.py and jobs/replay.py.
CREATE TABLE late_events (
    topic STRING,
    `partition` INT,
    `offset` BIGINT,
    record_time TIMESTAMP_LTZ(3),
    record_key BYTES,
    record_value BYTES,
    event_time TIMESTAMP_LTZ(3),
    `watermark` TIMESTAMP_LTZ(3),
    job STRING,
    error STRING METADATA FROM 'value.error' VIRTUAL,
    error_detail STRING METADATA FROM 'value.error-detail' VIRTUAL,
    kafka_value BYTES METADATA FROM 'value.raw' VIRTUAL,
    kafka_topic STRING METADATA FROM 'topic' VIRTUAL,
    kafka_partition INT METADATA FROM 'partition' VIRTUAL,
    kafka_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    kafka_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
) WITH (
    'connector' = 'kafka',
    'topic' = '${PREFIX}late_events',
    'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
    'properties.group.id' = '${PREFIX}crowdpulse',
    'properties.auto.offset.reset' = 'earliest',
    'properties.max.request.size' = '8388608',
    'scan.startup.mode' = '${STARTUP_MODE}',
    'scan.bounded.mode' = '${BOUNDED_MODE}',
    'format' = 'checked-json',
    'checked-json.required' = 'topic;partition;offset;event_time;job',
    'checked-json.max-size' = '8 mb'
);
