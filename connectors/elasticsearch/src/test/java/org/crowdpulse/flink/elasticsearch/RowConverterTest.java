package org.crowdpulse.flink.elasticsearch;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Set;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.types.RowKind;
import org.crowdpulse.flink.elasticsearch.BulkEntry.Operation;
import org.junit.jupiter.api.Test;

/** Rows as the lines of a bulk request, and their ids. */
class RowConverterTest {

    private static final RowType ROW = (RowType) DataTypes.ROW(
                    DataTypes.FIELD("wiki", DataTypes.STRING().notNull()),
                    DataTypes.FIELD("at", DataTypes.TIMESTAMP_LTZ(3).notNull()),
                    DataTypes.FIELD("n", DataTypes.BIGINT()))
            .getLogicalType();

    private static RowConverter converter(String delimiter, int... keyColumns) {
        RowConverter converter = new RowConverter(
                ROW, keyColumns, delimiter, new IndexName("edits", ROW), Operation.INDEX);
        converter.open();
        return converter;
    }

    private static RowData row(RowKind kind, String wiki) {
        return GenericRowData.ofKind(kind, StringData.fromString(wiki), TimestampData.fromEpochMillis(0), 5L);
    }

    private static String text(BulkEntry entry) {
        return new String(entry.bytes, StandardCharsets.UTF_8);
    }

    @Test
    void insertsAndUpdatesAreIndexActions() {
        RowConverter converter = converter("_", 0);
        for (RowKind kind : new RowKind[] {RowKind.INSERT, RowKind.UPDATE_AFTER}) {
            BulkEntry entry = converter.apply(row(kind, "de"), null);
            assertThat(text(entry)).isEqualTo("{\"index\":{\"_index\":\"edits\",\"_id\":\"de\"}}\n"
                    + "{\"wiki\":\"de\",\"at\":\"1970-01-01T00:00:00.000Z\",\"n\":5}\n");
            assertThat(entry.source()).isEqualTo("{\"wiki\":\"de\",\"at\":\"1970-01-01T00:00:00.000Z\",\"n\":5}");
        }
    }

    private static String partial(Operation write, RowKind kind, Object... fields) {
        RowType row = (RowType) DataTypes.ROW(
                        DataTypes.FIELD("a", DataTypes.INT()),
                        DataTypes.FIELD("k", DataTypes.STRING().notNull()),
                        DataTypes.FIELD("place", DataTypes.ROW(
                                DataTypes.FIELD("lat", DataTypes.DOUBLE()),
                                DataTypes.FIELD("lon", DataTypes.DOUBLE()))))
                .getLogicalType();
        RowConverter converter = new RowConverter(row, new int[] {1}, "_", new IndexName("edits", row), write);
        converter.open();
        return text(converter.apply(GenericRowData.ofKind(kind, fields), null));
    }

    @Test
    void aMergeLeavesOutColumnsThatAreNullAndNoOthers() {
        String action = "{\"update\":{\"_index\":\"edits\",\"_id\":\"x\",\"retry_on_conflict\":3}}\n";
        StringData key = StringData.fromString("x");
        assertThat(partial(Operation.MERGE, RowKind.INSERT, null, key, GenericRowData.of(1.5, null))).isEqualTo(
                action + "{\"doc_as_upsert\":true,\"doc\":{\"k\":\"x\",\"place\":{\"lat\":1.5,\"lon\":null}}}\n");
        assertThat(partial(Operation.MERGE, RowKind.UPDATE_AFTER, 7, key, null)).isEqualTo(
                action + "{\"doc_as_upsert\":true,\"doc\":{\"a\":7,\"k\":\"x\"}}\n");
    }

    @Test
    void anUpdateSendsNulls() {
        assertThat(partial(Operation.UPDATE, RowKind.INSERT, null, StringData.fromString("x"), null)).isEqualTo(
                "{\"update\":{\"_index\":\"edits\",\"_id\":\"x\",\"retry_on_conflict\":3}}\n"
                        + "{\"doc\":{\"a\":null,\"k\":\"x\",\"place\":null}}\n");
    }

    @Test
    void aDeletionIsTheSameHoweverRowsAreWritten() {
        for (Operation write : new Operation[] {Operation.INDEX, Operation.MERGE, Operation.UPDATE}) {
            assertThat(partial(write, RowKind.DELETE, null, StringData.fromString("x"), null))
                    .isEqualTo("{\"delete\":{\"_index\":\"edits\",\"_id\":\"x\"}}\n");
        }
    }

    @Test
    void aDeletionHasNoDocument() {
        BulkEntry entry = converter("_", 0).apply(row(RowKind.DELETE, "de"), null);
        assertThat(text(entry)).isEqualTo("{\"delete\":{\"_index\":\"edits\",\"_id\":\"de\"}}\n");
        assertThat(entry.source()).isNull();
    }

    @Test
    void whatARowWasBeforeIsNotWritten() {
        assertThat(converter("_", 0).apply(row(RowKind.UPDATE_BEFORE, "de"), null)).isNull();
    }

    @Test
    void keyColumnsAreJoinedInTheOrderOfTheKey() {
        assertThat(converter("_", 0, 1).apply(row(RowKind.INSERT, "de"), null).id)
                .isEqualTo("de_1970-01-01T00:00:00.000Z");
        assertThat(converter("::", 2, 0).apply(row(RowKind.INSERT, "de"), null).id).isEqualTo("5::de");
    }

    @Test
    void anIdIsEscapedWhereItMustBe() throws Exception {
        BulkEntry entry = converter("_", 0).apply(row(RowKind.INSERT, "a\"b\\c\nd"), null);
        String action = text(entry).lines().findFirst().orElseThrow();
        assertThat(ElasticsearchServer.JSON.readTree(action).at("/index/_id").asText()).isEqualTo("a\"b\\c\nd");
        assertThat(entry.id).isEqualTo("a\"b\\c\nd");
    }

    @Test
    void anIdThatIsTooLongBecomesItsHash() {
        RowConverter converter = converter("_", 0);
        assertThat(converter.apply(row(RowKind.INSERT, "x".repeat(512)), null).id).hasSize(512);
        String hashed = converter.apply(row(RowKind.INSERT, "ü".repeat(257)), null).id;
        assertThat(hashed).hasSize(43);
        assertThat(converter("_", 0).apply(row(RowKind.DELETE, "ü".repeat(257)), null).id).isEqualTo(hashed);
        assertThat(converter.apply(row(RowKind.INSERT, "ü".repeat(258)), null).id).isNotEqualTo(hashed);
    }

    @Test
    void withoutAKeyEachRowHasAnIdOfItsOwn() {
        Set<String> ids = new HashSet<>();
        for (RowConverter converter : new RowConverter[] {converter("_"), converter("_")}) {
            for (int i = 0; i < 1000; i++) {
                BulkEntry entry = converter.apply(row(RowKind.INSERT, "de"), null);
                assertThat(entry.id).hasSize(20).matches("[-_A-Za-z0-9]+");
                assertThat(entry.shared).isFalse();
                ids.add(entry.id);
            }
        }
        assertThat(ids).hasSize(2000);
    }
}
