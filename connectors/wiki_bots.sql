-- One document per bot and ten minutes. Key: user_name, window_start, window_end.
-- Written by jobs/wiki_edits.py when the window is over.
-- `share_of_edits`: this bot's part of all edits and new pages of the window, by bots and people on the chosen wikis, 0 to 1.
CREATE TABLE wiki_bots (
    user_name STRING,
    window_start TIMESTAMP_LTZ(3),
    window_end TIMESTAMP_LTZ(3),
    edits BIGINT,
    pages BIGINT,
    wikis BIGINT,
    all_edits BIGINT,
    share_of_edits DOUBLE,
    PRIMARY KEY (user_name, window_start, window_end) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}wiki_bots',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
