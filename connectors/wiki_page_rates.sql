-- One document per wiki, five minutes and kind of performer: how many pages came and went. Key: wiki, performer_kind,
-- window_start, window_end. Written by jobs/wiki_pages.py when the window is over.
-- `performer_kind`: bot, human, or unknown where no stream tells.
CREATE TABLE wiki_page_rates (
    wiki STRING,
    performer_kind STRING,
    window_start TIMESTAMP_LTZ(3),
    window_end TIMESTAMP_LTZ(3),
    `language` STRING,
    pages_created BIGINT,
    pages_moved BIGINT,
    pages_deleted BIGINT,
    pages_restored BIGINT,
    PRIMARY KEY (wiki, performer_kind, window_start, window_end) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}wiki_page_rates',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
