package org.crowdpulse.flink.elasticsearch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import org.apache.flink.connector.base.sink.writer.BufferedRequestState;
import org.apache.flink.connector.base.sink.writer.RequestEntryWrapper;
import org.crowdpulse.flink.elasticsearch.BulkEntry.Operation;
import org.junit.jupiter.api.Test;

/** Buffered entries in a checkpoint. */
class BulkEntrySerializerTest {

    private final BulkEntrySerializer serializer = new BulkEntrySerializer();

    private static RequestEntryWrapper<BulkEntry> wrapped(Operation operation, String id, boolean shared, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        BulkEntry entry = new BulkEntry(operation, "edits", id, shared, bytes, text.indexOf('\n') + 1);
        return new RequestEntryWrapper<>(entry, entry.size());
    }

    @Test
    void everyKindOfEntryReadsBackAsItWas() throws Exception {
        List<RequestEntryWrapper<BulkEntry>> entries = List.of(
                wrapped(Operation.INDEX, "ключ", true, "{\"index\":{}}\n{\"a\":\"😀\"}\n"),
                wrapped(Operation.DELETE, "b", true, "{\"delete\":{}}\n"),
                wrapped(Operation.INDEX_REFUSED, "c", true, "{\"index\":{}}\n{}\n"),
                wrapped(Operation.MERGE, "m", true, "{\"update\":{}}\n{\"doc_as_upsert\":true,\"doc\":{}}\n"),
                wrapped(Operation.CREATE, "n", true, "{\"create\":{}}\n{\"a\":1}\n"),
                wrapped(Operation.UPDATE, "u", true, "{\"update\":{}}\n{\"doc\":{}}\n"),
                wrapped(Operation.INDEX, "d", false, "{\"index\":{}}\n{\"x\":\"" + "y".repeat(100_000) + "\"}\n"));
        byte[] bytes = serializer.serialize(new BufferedRequestState<>(entries));
        BufferedRequestState<BulkEntry> read = serializer.deserialize(serializer.getVersion(), bytes);
        assertThat(read.getStateSize()).isEqualTo(entries.stream().mapToLong(RequestEntryWrapper::getSize).sum());
        for (int i = 0; i < entries.size(); i++) {
            BulkEntry expected = entries.get(i).getRequestEntry();
            BulkEntry actual = read.getBufferedRequestEntries().get(i).getRequestEntry();
            assertThat(actual).isEqualTo(expected);
            assertThat(actual.operation).isEqualTo(expected.operation);
            assertThat(actual.shared).isEqualTo(expected.shared);
            assertThat(actual.bytes).isEqualTo(expected.bytes);
            assertThat(actual.source()).isEqualTo(expected.source());
        }
    }

    /** The bytes of version 1, which later versions of the sink must still read. */
    @Test
    void theFirstVersionStaysReadable() throws Exception {
        byte[] version1 = HexFormat.of().parseHex("00000003"
                + "00" + "000000056564697473" + "000000026961"
                + "01" + "0000000d" + "00000015" + "7b22696e646578223a7b7d7d0a" + "7b2261223a317d0a"
                + "01" + "000000056564697473" + "000000026964"
                + "01" + "0000000e" + "0000000e" + "7b2264656c657465223a7b7d7d0a"
                + "02" + "000000056564697473" + "000000026972"
                + "01" + "0000000d" + "00000010" + "7b22696e646578223a7b7d7d0a" + "7b7d0a");
        List<BulkEntry> entries = serializer.deserialize(1, version1).getBufferedRequestEntries().stream()
                .map(RequestEntryWrapper::getRequestEntry)
                .toList();
        assertThat(entries).map(BulkEntry::toString)
                .containsExactly("index edits/ia", "delete edits/id", "index edits/ir");
        assertThat(entries).map(entry -> entry.operation)
                .containsExactly(Operation.INDEX, Operation.DELETE, Operation.INDEX_REFUSED);
        assertThat(entries).map(BulkEntry::source).containsExactly("{\"a\":1}", null, "{}");
    }

    /** The bytes of version 2, with a merge and an update. */
    @Test
    void theSecondVersionStaysReadable() throws Exception {
        byte[] version2 = HexFormat.of().parseHex("00000002"
                + "03" + "000000056564697473" + "00000001" + "6d"
                + "01" + "0000000e" + "00000011" + "7b22757064617465223a7b7d7d0a" + "7b7d0a"
                + "04" + "000000056564697473" + "00000001" + "75"
                + "01" + "0000000e" + "00000011" + "7b22757064617465223a7b7d7d0a" + "7b7d0a");
        List<BulkEntry> entries = serializer.deserialize(2, version2).getBufferedRequestEntries().stream()
                .map(RequestEntryWrapper::getRequestEntry)
                .toList();
        assertThat(entries).map(entry -> entry.operation).containsExactly(Operation.MERGE, Operation.UPDATE);
        assertThat(entries).map(BulkEntry::source).containsExactly("{}", "{}");
    }

    @Test
    void anUnknownVersionIsRefusedWithASentence() {
        assertThatThrownBy(() -> serializer.deserialize(9, new byte[0]))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("state of version 9");
    }
}
