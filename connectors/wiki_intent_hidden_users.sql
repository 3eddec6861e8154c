-- One row per revision whose user was hidden on its wiki: changes the document of wiki_intent, if there is one. Key: wiki,
-- revision_id. Written by jobs/wiki_intent.py.
CREATE TABLE wiki_intent_hidden_users (
    wiki STRING,
    revision_id BIGINT,
    user_name STRING,
    user_kind STRING,
    registered_at TIMESTAMP_LTZ(3),
    account_age_days DOUBLE,
    edit_count BIGINT,
    fallback_score DOUBLE,
    fallback_version STRING,
    PRIMARY KEY (wiki, revision_id) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}wiki_intent',
    'sink.write-mode' = 'update',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
