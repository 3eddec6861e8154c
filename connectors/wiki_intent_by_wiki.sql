-- One document per five minutes, wiki, bots or people, kind of user and namespace (-9: unknown): how many revisions have
-- which intent. Key: window_start, window_end and those. Written by jobs/wiki_intent.py when the window closes.
-- `judged`: revisions with one of the four intents, of which the shares are; the others are `unscored`, or something is
-- known of them but not both axes.
CREATE TABLE wiki_intent_by_wiki (
    window_start TIMESTAMP_LTZ(3),
    window_end TIMESTAMP_LTZ(3),
    wiki STRING,
    is_bot BOOLEAN,
    user_kind STRING,
    namespace INT,
    edits BIGINT,
    judged BIGINT,
    unscored BIGINT,
    constructive BIGINT,
    good_faith_damage BIGINT,
    vandalism BIGINT,
    bad_faith_harmless BIGINT,
    constructive_share DOUBLE,
    good_faith_damage_share DOUBLE,
    vandalism_share DOUBLE,
    bad_faith_harmless_share DOUBLE,
    PRIMARY KEY (window_start, window_end, wiki, is_bot, user_kind, namespace) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}wiki_intent_by_wiki',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
