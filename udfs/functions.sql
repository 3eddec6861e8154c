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
