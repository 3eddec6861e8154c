-- The newest verdict of a moderator on a message, written into the message's document of moderation_messages, whether it is
-- there already or comes later. Key: room, message_id. Written by jobs/moderation.py.
-- `decision_at_verdict`: what the job had decided when the moderator looked. `is_sampled`: an allowed message, chosen by
-- chance for a look.
CREATE TABLE moderation_verdicts (
    message_id STRING,
    room STRING,
    verdict STRING,
    verdict_at TIMESTAMP_LTZ(3),
    moderator STRING,
    decision_at_verdict STRING,
    is_sampled BOOLEAN,
    PRIMARY KEY (room, message_id) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}moderation_messages',
    'document-id.key-delimiter' = '|',
    'sink.write-mode' = 'merge',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
