-- One row per message of a chat room, and per record without a value, which is no message: it only tells the time (a tick).
-- Kafka key: room. Written by services/moderation, connectors/kinesis_bridge.py and producers/chat.py.
-- Event time is the server's time, which never falls within a partition. A writer sends ticks into partitions that are
-- silent, so that the watermark of all of them goes on, and a message waits for no other partition: what is decided of it
-- hangs on the topic's records alone, and is the same in a replay. A partition is idle only where its writer has ended, not
-- where Kafka was away: after that the first one to be read again would move the time alone, past messages of the others.
-- Required, else the record has its reason in `problem`: message_id, room, user_name (1 to 64 characters), text (1 to 2000).
CREATE TABLE chat_messages (
    record_key BYTES,
    message_id STRING,
    room STRING,
    user_name STRING,
    text STRING,
    client_time TIMESTAMP_LTZ(3),
    server_time TIMESTAMP_LTZ(3),
    error STRING METADATA FROM 'value.error' VIRTUAL,
    error_detail STRING METADATA FROM 'value.error-detail' VIRTUAL,
    record_value BYTES METADATA FROM 'value.raw' VIRTUAL,
    record_topic STRING METADATA FROM 'topic' VIRTUAL,
    record_partition INT METADATA FROM 'partition' VIRTUAL,
    record_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    record_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
    problem AS CASE
        WHEN record_value IS NULL THEN NULL
        WHEN error IS NOT NULL THEN error
        WHEN CHAR_LENGTH(message_id) NOT BETWEEN 1 AND 64 THEN 'out_of_range'
        WHEN CHAR_LENGTH(room) NOT BETWEEN 1 AND 64 THEN 'out_of_range'
        WHEN CHAR_LENGTH(user_name) NOT BETWEEN 1 AND 64 THEN 'out_of_range'
        WHEN CHAR_LENGTH(text) NOT BETWEEN 1 AND 2000 THEN 'out_of_range'
        WHEN server_time > record_time + INTERVAL '5' SECOND THEN 'future_event_time'
    END,
    problem_detail AS CASE
        WHEN record_value IS NULL THEN NULL
        WHEN error IS NOT NULL THEN error_detail
        WHEN CHAR_LENGTH(message_id) NOT BETWEEN 1 AND 64 THEN 'message_id has not 1 to 64 characters.'
        WHEN CHAR_LENGTH(room) NOT BETWEEN 1 AND 64 THEN 'room has not 1 to 64 characters.'
        WHEN CHAR_LENGTH(user_name) NOT BETWEEN 1 AND 64 THEN 'user_name has not 1 to 64 characters.'
        WHEN CHAR_LENGTH(text) NOT BETWEEN 1 AND 2000 THEN 'text has not 1 to 2000 characters.'
        WHEN server_time > record_time + INTERVAL '5' SECOND THEN 'server_time is more than 5 seconds after the record arrived.'
    END,
    event_time AS COALESCE(LEAST(server_time, record_time), record_time),
    WATERMARK FOR event_time AS event_time - INTERVAL '0.001' SECOND * ${CHAT_OUT_OF_ORDER_MS}
) WITH (
    'connector' = 'kafka',
    'topic' = '${PREFIX}chat_messages',
    'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
    'properties.group.id' = '${PREFIX}crowdpulse',
    'properties.auto.offset.reset' = 'earliest',
    'scan.startup.mode' = '${STARTUP_MODE}',
    'scan.bounded.mode' = '${BOUNDED_MODE}',
    'scan.watermark.idle-timeout' = '5 min',
    'key.format' = 'raw',
    'key.fields' = 'record_key',
    'value.format' = 'checked-json',
    'value.fields-include' = 'EXCEPT_KEY',
    'value.checked-json.required' = 'message_id;room;user_name;text;server_time',
    'value.checked-json.max-size' = '${MAX_RECORD_BYTES}b'
);
