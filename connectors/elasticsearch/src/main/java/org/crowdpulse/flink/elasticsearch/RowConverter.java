package org.crowdpulse.flink.elasticsearch;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.Base64;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.connector.base.sink.writer.ElementConverter;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.types.RowKind;
import org.crowdpulse.flink.elasticsearch.BulkEntry.Operation;

/** Turns a row into the lines of a bulk request, in one pass from Flink's binary form to UTF-8. */
final class RowConverter implements ElementConverter<RowData, BulkEntry> {

    /** Elasticsearch refuses longer ids. */
    static final int MAX_ID_BYTES = 512;

    private static final long serialVersionUID = 1L;

    /** A document that another writer changes at the same time is read and changed anew, within Elasticsearch. */
    private static final int RETRY_ON_CONFLICT = 3;

    private static final byte[] MERGE = "{\"doc_as_upsert\":true,\"doc\":".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] UPDATE = "{\"doc\":".getBytes(StandardCharsets.US_ASCII);

    private final RowType rowType;
    private final int[] keyColumns;
    private final String keyDelimiter;
    private final IndexName index;
    private final Operation write;

    private transient JsonTypes.Row document;
    private transient RowData.FieldGetter[] keyGetters;
    private transient JsonTypes.Writer[] keyWriters;
    private transient JsonBuffer out;
    private transient JsonBuffer key;
    private transient byte[] delimiter;
    private transient String idPrefix;
    private transient long idCounter;

    /**
     * @param keyColumns positions of the PRIMARY KEY's columns; none to generate ids
     * @param write what a row that is not deleted does to its document
     */
    RowConverter(RowType rowType, int[] keyColumns, String keyDelimiter, IndexName index, Operation write) {
        this.rowType = rowType;
        this.keyColumns = keyColumns;
        this.keyDelimiter = keyDelimiter;
        this.index = index;
        this.write = write;
    }

    @Override
    public void open(WriterInitContext context) {
        open();
    }

    void open() {
        index.open();
        document = JsonTypes.row(rowType);
        out = new JsonBuffer();
        key = new JsonBuffer();
        delimiter = keyDelimiter.getBytes(StandardCharsets.UTF_8);
        keyGetters = new RowData.FieldGetter[keyColumns.length];
        keyWriters = new JsonTypes.Writer[keyColumns.length];
        for (int i = 0; i < keyColumns.length; i++) {
            keyGetters[i] = RowData.createFieldGetter(rowType.getTypeAt(keyColumns[i]), keyColumns[i]);
            keyWriters[i] = JsonTypes.text(rowType.getTypeAt(keyColumns[i]));
        }
        byte[] random = new byte[9];
        new SecureRandom().nextBytes(random);
        idPrefix = Base64.getUrlEncoder().encodeToString(random);
    }

    /** The entry of a row; null when there is nothing to do for it. Its index is null when the row names none. */
    @Override
    public BulkEntry apply(RowData row, SinkWriter.Context context) {
        if (row.getRowKind() == RowKind.UPDATE_BEFORE) {
            return null;
        }
        Operation operation = row.getRowKind() == RowKind.DELETE ? Operation.DELETE : write;
        String indexName = index.of(row);
        String id = keyColumns.length == 0 ? nextId() : idOf(row);
        out.clear();
        writeAction(out, operation, indexName == null ? "" : indexName, id);
        int sourceStart = out.length();
        switch (operation) {
            case MERGE -> {
                out.raw(MERGE);
                document.write(row, false, out);
                out.raw("}\n");
            }
            case UPDATE -> {
                out.raw(UPDATE);
                document.write(row, true, out);
                out.raw("}\n");
            }
            case INDEX, CREATE -> {
                document.write(row, true, out);
                out.raw('\n');
            }
            default -> { }
        }
        return new BulkEntry(operation, indexName, id, keyColumns.length > 0, out.toBytes(), sourceStart);
    }

    static void writeAction(JsonBuffer out, Operation operation, String index, String id) {
        out.raw("{\"");
        out.raw(operation.action);
        out.raw("\":{\"_index\":");
        out.quoted(index);
        out.raw(",\"_id\":");
        out.quoted(id);
        if (operation == Operation.MERGE || operation == Operation.UPDATE) {
            out.raw(",\"retry_on_conflict\":");
            out.number(RETRY_ON_CONFLICT);
        }
        out.raw("}}\n");
    }

    private String idOf(RowData row) {
        key.clear();
        for (int i = 0; i < keyGetters.length; i++) {
            if (i > 0) {
                key.raw(delimiter);
            }
            Object value = keyGetters[i].getFieldOrNull(row);
            if (value != null) {
                keyWriters[i].write(value, key);
            }
        }
        return key.length() > MAX_ID_BYTES ? FailureHandler.digest(key.toBytes()) : key.toText();
    }

    /** An id of 20 characters: a random part per writer, then a counter, which Lucene finds fast. */
    private String nextId() {
        byte[] counter = ByteBuffer.allocate(8).putLong(idCounter++).array();
        return idPrefix + Base64.getUrlEncoder().encodeToString(Arrays.copyOfRange(counter, 2, 8));
    }
}
