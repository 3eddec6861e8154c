package org.crowdpulse.flink.elasticsearch;

import java.io.Serializable;
import java.nio.charset.StandardCharsets;

/**
 * One line or two of a bulk request, ready to send: the action, and the document unless it is a deletion.
 *
 * <p>Two entries are equal when they are about the same document, whatever they do to it.
 */
final class BulkEntry implements Serializable {

    private static final long serialVersionUID = 1L;

    /** What the entry does, and how Elasticsearch names it. */
    enum Operation {
        /** Writes the document, over an older one of the same id. */
        INDEX("index"),
        /** Writes the document, unless there is one of the same id. */
        CREATE("create"),
        /** Writes some fields of a document, which is made if there is none. */
        MERGE("update"),
        /** Writes some fields of a document that exists. */
        UPDATE("update"),
        /** Removes the document. */
        DELETE("delete"),
        /** Writes a document that was refused elsewhere to the index of refused documents. */
        INDEX_REFUSED("index");

        final String action;

        Operation(String action) {
            this.action = action;
        }
    }

    final Operation operation;
    final String index;
    final String id;
    /** The NDJSON of this entry with its last line feed. */
    final byte[] bytes;
    /** Where in {@link #bytes} the document begins; at its end for a deletion. */
    final int sourceStart;
    /** False when no other entry can have this id, so that nobody needs to look for one. */
    final boolean shared;

    private transient int attempts;
    private transient int serverErrors;
    private transient int postponements;
    private transient long missingSince;

    BulkEntry(Operation operation, String index, String id, boolean shared, byte[] bytes, int sourceStart) {
        this.operation = operation;
        this.index = index;
        this.id = id;
        this.shared = shared;
        this.bytes = bytes;
        this.sourceStart = sourceStart;
    }

    int size() {
        return bytes.length;
    }

    /** Length of the document in bytes, of a partial one with what is around it; 0 for a deletion. */
    int sourceSize() {
        return operation == Operation.DELETE ? 0 : bytes.length - 1 - sourceStart;
    }

    /** The document as text, a partial one with what is around it; null for a deletion. */
    String source() {
        return operation == Operation.DELETE
                ? null
                : new String(bytes, sourceStart, sourceSize(), StandardCharsets.UTF_8);
    }

    /** Whether fields of the document stay as they are. */
    boolean partial() {
        return operation == Operation.MERGE || operation == Operation.UPDATE;
    }

    /** Whether the document is the same after both entries as after this one alone; only asked of equal entries. */
    boolean replaces(BulkEntry earlier) {
        return switch (operation) {
            case MERGE -> false;
            case CREATE, UPDATE -> earlier.operation == operation;
            default -> true;
        };
    }

    /** Counts one more attempt that has to be repeated, and returns how many there were. */
    int failedAgain() {
        return ++attempts;
    }

    /** Counts one more error of the server (500) about this document alone, and returns how many there were. */
    int serverFailed() {
        return ++serverErrors;
    }

    /** Counts one more wait of this document alone, and returns how many there were before. */
    int postponedAgain() {
        return postponements++;
    }

    /** When the document was first found missing, which is now at the latest, in milliseconds since 1970. */
    long missingSince(long now) {
        if (missingSince == 0) {
            missingSince = now;
        }
        return missingSince;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof BulkEntry entry && id.equals(entry.id) && index.equals(entry.index);
    }

    @Override
    public int hashCode() {
        return id.hashCode();
    }

    @Override
    public String toString() {
        return operation.action + " " + index + "/" + id;
    }
}
