-- One document per edit of a wiki page (an edit or a new page). Key: wiki, revision_id. Written by jobs/wiki_edits.py, once:
-- what is hidden later stays hidden when the edit is told again.
CREATE TABLE wiki_edits (
    wiki STRING,
    revision_id BIGINT,
    previous_revision_id BIGINT,
    event_time TIMESTAMP_LTZ(3),
    `type` STRING,
    title STRING,
    url STRING,
    domain STRING,
    `language` STRING,
    country STRING,
    namespace INT,
    user_name STRING,
    user_kind STRING,
    is_anonymous BOOLEAN,
    is_bot BOOLEAN,
    is_minor BOOLEAN,
    `comment` STRING,
    bytes_before BIGINT,
    bytes_after BIGINT,
    bytes_changed BIGINT,
    PRIMARY KEY (wiki, revision_id) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}wiki_edits',
    'sink.write-mode' = 'create',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
