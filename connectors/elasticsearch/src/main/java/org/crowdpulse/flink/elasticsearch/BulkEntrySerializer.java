package org.crowdpulse.flink.elasticsearch;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.connector.base.sink.writer.BufferedRequestState;
import org.apache.flink.connector.base.sink.writer.RequestEntryWrapper;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.crowdpulse.flink.elasticsearch.BulkEntry.Operation;

/**
 * Writes buffered entries to a checkpoint, byte by byte: no class of ours or of a library is named in the state, so it
 * can be read back wherever the jar of the sink was loaded from.
 */
final class BulkEntrySerializer implements SimpleVersionedSerializer<BufferedRequestState<BulkEntry>> {

    /** Version 1 had the first three operations; the bytes are the same. */
    private static final int VERSION = 2;

    private static final Operation[] OPERATIONS = {
        Operation.INDEX, Operation.DELETE, Operation.INDEX_REFUSED, Operation.MERGE, Operation.UPDATE,
        Operation.CREATE
    };

    @Override
    public int getVersion() {
        return VERSION;
    }

    @Override
    public byte[] serialize(BufferedRequestState<BulkEntry> state) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream((int) Math.min(1 << 30, state.getStateSize() + 1024));
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeInt(state.getBufferedRequestEntries().size());
        for (RequestEntryWrapper<BulkEntry> wrapper : state.getBufferedRequestEntries()) {
            BulkEntry entry = wrapper.getRequestEntry();
            out.writeByte(List.of(OPERATIONS).indexOf(entry.operation));
            writeText(out, entry.index);
            writeText(out, entry.id);
            out.writeBoolean(entry.shared);
            out.writeInt(entry.sourceStart);
            out.writeInt(entry.bytes.length);
            out.write(entry.bytes);
        }
        return bytes.toByteArray();
    }

    @Override
    public BufferedRequestState<BulkEntry> deserialize(int version, byte[] serialized) throws IOException {
        if (version < 1 || version > VERSION) {
            throw new IOException("The checkpoint holds Elasticsearch sink state of version " + version
                    + ", this sink reads versions 1 to " + VERSION + ". Restore it with the sink that wrote it.");
        }
        DataInputStream in = new DataInputStream(new ByteArrayInputStream(serialized));
        int count = in.readInt();
        List<RequestEntryWrapper<BulkEntry>> entries = new ArrayList<>(count);
        for (int i = 0; i < count; i++) {
            Operation operation = OPERATIONS[in.readByte()];
            String index = readText(in);
            String id = readText(in);
            boolean shared = in.readBoolean();
            int sourceStart = in.readInt();
            byte[] bytes = new byte[in.readInt()];
            in.readFully(bytes);
            BulkEntry entry = new BulkEntry(operation, index, id, shared, bytes, sourceStart);
            entries.add(new RequestEntryWrapper<>(entry, entry.size()));
        }
        return new BufferedRequestState<>(entries);
    }

    private static void writeText(DataOutputStream out, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        out.writeInt(bytes.length);
        out.write(bytes);
    }

    private static String readText(DataInputStream in) throws IOException {
        byte[] bytes = new byte[in.readInt()];
        in.readFully(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }
}
