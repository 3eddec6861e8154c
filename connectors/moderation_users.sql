-- One document per user who was struck: the state after the latest strike or pardon, and the latest mute by hand (written
-- through moderation_mutes). Key: user_name. Written by jobs/moderation.py.
-- `strikes` fade: this is the figure at `struck_at`. `flags`: flagged and held messages within the time that strikes count.
-- `pardons`: overturned ones in that time. `action`, `muted_until`: what the latest strike led to.
CREATE TABLE moderation_users (
    user_name STRING,
    struck_at TIMESTAMP_LTZ(3),
    strikes DOUBLE,
    flags BIGINT,
    pardons BIGINT,
    `action` STRING,
    muted_until TIMESTAMP_LTZ(3),
    last_message_id STRING,
    last_room STRING,
    policy_version STRING,
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
