-- One document per page of a wiki: its life as far as we saw it, and its state after the latest act (created, moved,
-- deleted, restored; of the same time, the later in this list). Key: wiki, page_id. Written by jobs/wiki_pages.py, anew
-- at each act.
-- Each time is that of the latest act of its kind. `title`, `namespace` and `url` are those of the latest act that tells
-- them (a suppressed title tells none); titles have spaces, as in `wiki_edits`. `moved_from`: the title before the latest
-- move. `was_created_here`: true where we saw the page's creation, else absent.
-- The job remembers a page for a day after an act of it; what it has forgotten stays in the document, for a null is not
-- sent. After such a day `recent_moves` begins again at 0, and an older act that is told only then overwrites the state.
-- No user, no comment: a redaction of those has nothing to remove here.
CREATE TABLE wiki_pages (
    wiki STRING,
    page_id BIGINT,
    title STRING,
    url STRING,
    domain STRING,
    `language` STRING,
    namespace INT,
    state STRING,
    last_act STRING,
    last_act_at TIMESTAMP_LTZ(3),
    created_at TIMESTAMP_LTZ(3),
    was_created_here BOOLEAN,
    moved_at TIMESTAMP_LTZ(3),
    moved_from STRING,
    recent_moves BIGINT,
    deleted_at TIMESTAMP_LTZ(3),
    restored_at TIMESTAMP_LTZ(3),
    PRIMARY KEY (wiki, page_id) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${ELASTICSEARCH_HOSTS}',
    'username' = '${ELASTICSEARCH_USERNAME}',
    'password' = '${ELASTICSEARCH_PASSWORD}',
    'api-key' = '${ELASTICSEARCH_API_KEY}',
    'ssl.ca' = '${ELASTICSEARCH_SSL_CA}',
    'index' = '${PREFIX}wiki_pages',
    'sink.write-mode' = 'merge',
    'sink.failure-handler' = 'index:${PREFIX}rejected_documents'
);
