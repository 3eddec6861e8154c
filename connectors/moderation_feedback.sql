-- One row per verdict of a moderator on a message, per mute and its end by hand (`kind`), and per tick, as in chat_messages.
-- Kafka key: user_name. Written by services/moderation.
-- `verdict`: uphold or overturn, of what the job had decided (`decision`, `strike_points`, at `message_time`).
-- Required: feedback_id, kind, user_name, server_time; of a verdict its room, message_id and verdict too.
CREATE TABLE moderation_feedback (
    record_key BYTES,
    feedback_id STRING,
    kind STRING,
    verdict STRING,
    message_id STRING,
    room STRING,
    user_name STRING,
    moderator STRING,
    server_time TIMESTAMP_LTZ(3),
    message_time TIMESTAMP_LTZ(3),
    decision STRING,
    strike_points BIGINT,
    minutes INT,
    is_sampled BOOLEAN,
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
        WHEN kind NOT IN ('verdict', 'mute', 'unmute') THEN 'unknown_kind'
        WHEN kind = 'verdict' AND COALESCE(verdict, '') NOT IN ('uphold', 'overturn') THEN 'unknown_verdict'
        WHEN kind = 'verdict' AND room IS NULL THEN 'missing_field'
        WHEN kind = 'verdict' AND message_id IS NULL THEN 'missing_field'
        WHEN kind = 'mute' AND COALESCE(minutes, 0) NOT BETWEEN 1 AND 525600 THEN 'out_of_range'
        WHEN server_time > record_time + INTERVAL '5' SECOND THEN 'future_event_time'
    END,
    problem_detail AS CASE
        WHEN record_value IS NULL THEN NULL
        WHEN error IS NOT NULL THEN error_detail
        WHEN kind NOT IN ('verdict', 'mute', 'unmute') THEN 'The kind is none of verdict, mute, unmute.'
        WHEN kind = 'verdict' AND COALESCE(verdict, '') NOT IN ('uphold', 'overturn')
            THEN 'The verdict is none of uphold, overturn.'
        WHEN kind = 'verdict' AND room IS NULL THEN 'A verdict has no room.'
        WHEN kind = 'verdict' AND message_id IS NULL THEN 'A verdict has no message_id.'
        WHEN kind = 'mute' AND COALESCE(minutes, 0) NOT BETWEEN 1 AND 525600 THEN 'A mute is not of 1 to 525600 minutes.'
        WHEN server_time > record_time + INTERVAL '5' SECOND THEN 'server_time is more than 5 seconds after the record arrived.'
    END,
    event_time AS COALESCE(LEAST(server_time, record_time), record_time),
    WATERMARK FOR event_time AS event_time - INTERVAL '0.001' SECOND * ${CHAT_OUT_OF_ORDER_MS}
) WITH (
    'connector' = 'kafka',
    'topic' = '${PREFIX}moderation_feedback',
    'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
    'properties.group.id' = '${PREFIX}crowdpulse',
    'properties.auto.offset.reset' = 'earliest',
    'scan.startup.mode' = '${STARTUP_MODE}',
    'scan.bounded.mode' = '${BOUNDED_MODE}',
    'scan.watermark.idle-timeout' = '10 s',
    'key.format' = 'raw',
    'key.fields' = 'record_key',
    'value.format' = 'checked-json',
    'value.fields-include' = 'EXCEPT_KEY',
    'value.checked-json.required' = 'feedback_id;kind;user_name;server_time',
    'value.checked-json.max-size' = '${MAX_RECORD_BYTES}b'
);
