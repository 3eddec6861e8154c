package org.crowdpulse.flink.json;

/** Why a record has no columns: a kind to count by, and a sentence that names the place. */
final class RecordError extends Exception {

    private static final long serialVersionUID = 1L;

    /** The kinds; their lower-case names are what the metadata column {@code value.error} holds. */
    enum Kind {
        EMPTY_VALUE,
        OVERSIZED,
        INVALID_UTF8,
        NOT_JSON,
        NOT_AN_OBJECT,
        MISSING_FIELD,
        NULL_FIELD,
        WRONG_TYPE
    }

    final Kind kind;

    RecordError(Kind kind, String detail) {
        // Without a stack trace: these are data, thrown as often as the input is bad.
        super(detail, null, false, false);
        this.kind = kind;
    }
}
