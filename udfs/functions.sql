-- The functions of udfs/ for SQL. Each gives a ROW: `SELECT toxicity(title).toxic FROM wiki_edits`. All take a text, but
-- revert_fallback(age_seconds DOUBLE, is_registered BOOLEAN, is_trusted BOOLEAN, bytes_changed BIGINT).
CREATE TEMPORARY FUNCTION cyberbullying AS 'udfs.classifiers.cyberbullying' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION toxicity AS 'udfs.classifiers.toxicity' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION sentiment AS 'udfs.classifiers.sentiment' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION removal AS 'udfs.classifiers.removal' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION moderation AS 'udfs.classifiers.moderation' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION social AS 'udfs.classifiers.social' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION key_phrases AS 'udfs.key_phrases.key_phrases_udf' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION revert_fallback AS 'udfs.reverts.revert_fallback' LANGUAGE PYTHON;

-- Those of a background check: docs/background_check.md tells what they take. They are made from the settings of here.
CREATE TEMPORARY FUNCTION enriched_caption AS 'udfs.background_functions.enriched_caption' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION enriched_image AS 'udfs.background_functions.enriched_image' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION forgotten AS 'udfs.background_functions.forgotten' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION keywords AS 'udfs.background_functions.keywords' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION summary_score AS 'udfs.background_functions.summary_score' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION value_counts AS 'udfs.background_functions.value_counts' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION list_counts AS 'udfs.background_functions.list_counts' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION add_counts AS 'udfs.background_functions.add_counts' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION count_keywords AS 'udfs.background_functions.count_keywords' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION add_keywords AS 'udfs.background_functions.add_keywords' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION label_rows AS 'udfs.background_functions.label_rows' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION count_labels AS 'udfs.background_functions.count_labels' LANGUAGE PYTHON;
