-- The latest mute of a user by hand, or its end, written into the user's document of moderation_users.
-- Key: user_name. Written by jobs/moderation.py. A mute that was ended by hand has ended at `muted_by_hand_until`.
CREATE TABLE moderation_mutes (
    user_name STRING,
    muted_by_hand_at TIMESTAMP_LTZ(3),
    muted_by_hand_until TIMESTAMP_LTZ(3),
    muted_by STRING,
    PRIMARY KEY (user_name) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}moderation_users',
    'sink.write-mode' = 'merge',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
