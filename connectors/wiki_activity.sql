-- One document per wiki, minute and bots or people: what happened there. Key: wiki, is_bot, window_start, window_end.
-- Written by jobs/wiki_edits.py when the minute is over. `events` is the sum of the five counts by type; `users`, `pages`,
-- bytes and `edits_without_change` (as many bytes after as before) speak of edits and new pages.
CREATE TABLE wiki_activity (
    wiki STRING,
    is_bot BOOLEAN,
    window_start TIMESTAMP_LTZ(3),
    window_end TIMESTAMP_LTZ(3),
    `language` STRING,
    country STRING,
    events BIGINT,
    edits BIGINT,
    new_pages BIGINT,
    categorizations BIGINT,
    log_actions BIGINT,
    other_events BIGINT,
    edits_without_change BIGINT,
    bytes_added BIGINT,
    bytes_removed BIGINT,
    users BIGINT,
    pages BIGINT,
    PRIMARY KEY (wiki, is_bot, window_start, window_end) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}wiki_activity',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
