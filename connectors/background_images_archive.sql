-- One line per picture and outcome of labelling it (a failure may be followed by another try), in S3 as JSON lines, in
-- folders by `date`, the day of `taken_at` (UTC). Written by jobs/background_check.py, exactly once: files appear with
-- checkpoints. python -m jobs.forget takes a person's lines out.
CREATE TABLE background_images_archive (
    username STRING,
    post_id STRING,
    content_hash STRING,
    bucket STRING,
    s3_path STRING,
    media_type STRING,
    posted_at TIMESTAMP_LTZ(3),
    taken_at TIMESTAMP_LTZ(3),
    labels ARRAY<ROW<name STRING, parent STRING, `level` INT, confidence DOUBLE>>,
    content_types ARRAY<STRING>,
    moderation_model_version STRING,
    unscored_reason STRING,
    `date` STRING
) PARTITIONED BY (`date`) WITH (
    'connector' = 'filesystem',
    'path' = 's3://${S3_BUCKET}/background/${PREFIX}images',
    'format' = 'json',
    'json.timestamp-format.standard' = 'ISO-8601',
    'json.encode.decimal-as-plain-number' = 'true',
    'sink.rolling-policy.rollover-interval' = '1 min',
    'sink.rolling-policy.check-interval' = '10 s'
);
