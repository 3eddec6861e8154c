-- One document per hour (every ten minutes), wiki and user with at least five edits there, or who stands out: what the user
-- did, beside what is usual. Key: window_start, window_end, wiki, user_name. Written by jobs/wiki_users.py.
-- `commented`: edits with a comment; `comments`: different ones. `reverts_made`: edits whose comment says that they undo one;
-- `reverts_seen`: comments that name this user as undone. `usual_…`: the mean of the others on that wiki in that hour that
-- are bots, or are none, as this one; `wiki_users`: how many those are, with this one.
-- `stands_out_by` (rules in jobs/wiki_users.py): `edits`, `damage`, `reverted`. `behaves_like`: `bot` from 30 comments on of
-- which at most a tenth differ, `person` for 5 to 29 edits with at least half as many different comments; `is_odd`: the
-- account is not what it is like. `is_bot` is null for who did nothing but be undone.
CREATE TABLE wiki_users (
    window_start TIMESTAMP_LTZ(3),
    window_end TIMESTAMP_LTZ(3),
    wiki STRING,
    user_name STRING,
    is_bot BOOLEAN,
    edits BIGINT,
    pages BIGINT,
    commented BIGINT,
    comments BIGINT,
    reverts_made BIGINT,
    reverts_seen BIGINT,
    judged BIGINT,
    damaging_edits BIGINT,
    damaging_share DOUBLE,
    wikis BIGINT,
    wiki_users BIGINT,
    usual_edits DOUBLE,
    usual_damaging_share DOUBLE,
    stands_out_by ARRAY<STRING>,
    behaves_like STRING,
    is_odd BOOLEAN,
    PRIMARY KEY (window_start, window_end, wiki, user_name) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}wiki_users',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
