-- One document per picture of a person's post, with its moderation labels as Rekognition names them. Key: username,
-- post_id, content_hash. Written by jobs/background_check.py.
CREATE TABLE background_images (
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
    PRIMARY KEY (username, post_id, content_hash) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}background_images',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
