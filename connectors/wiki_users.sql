-- One document per hour (every ten minutes), wiki and user with at least five edits there, or who stands out: what the user
-- did, beside what is usual. Key: window_start, window_end, wiki, user_name. Written by jobs/wiki_users.py.
-- `comments`: different ones. `reverts_made`: edits whose comment says that they undo one; `reverts_seen`: comments that name
-- this user as undone. `wiki_…`: of all users of that wiki in that hour that are bots, or are none, as this one.
-- `stands_out_by` (rules in jobs/wiki_users.py): `edits`, `damage`, `reverted`. `behaves_like`: `bot` from 30 edits on with at
-- most a tenth as many comments, `person` up to 29 with at least half as many; `is_odd`: the account is not what it is like.
CREATE TABLE wiki_users (
    window_start TIMESTAMP_LTZ(3),
    window_end TIMESTAMP_LTZ(3),
    wiki STRING,
    user_name STRING,
    is_bot BOOLEAN,
    edits BIGINT,
    pages BIGINT,
    comments BIGINT,
    reverts_made BIGINT,
    reverts_seen BIGINT,
    judged BIGINT,
    damaging_edits BIGINT,
    damaging_share DOUBLE,
    wikis BIGINT,
    wiki_users BIGINT,
    wiki_edits BIGINT,
    wiki_edits_per_user DOUBLE,
    wiki_damaging_share DOUBLE,
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
