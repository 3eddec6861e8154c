package org.crowdpulse.flink.elasticsearch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Instant;
import java.time.LocalDate;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.types.logical.RowType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Indices named after a column. */
class IndexNameTest {

    private static final RowType ROW = (RowType) DataTypes.ROW(
                    DataTypes.FIELD("day", DataTypes.DATE()),
                    DataTypes.FIELD("local_time", DataTypes.TIMESTAMP(3)),
                    DataTypes.FIELD("event_time", DataTypes.TIMESTAMP_LTZ(3)),
                    DataTypes.FIELD("wiki", DataTypes.STRING()),
                    DataTypes.FIELD("shard", DataTypes.INT()),
                    DataTypes.FIELD("tags", DataTypes.ARRAY(DataTypes.STRING())))
            .getLogicalType();

    private static RowData row(String time, String wiki) {
        TimestampData timestamp = TimestampData.fromInstant(Instant.parse(time));
        int day = (int) LocalDate.parse(time.substring(0, 10)).toEpochDay();
        return GenericRowData.of(day, timestamp, timestamp, StringData.fromString(wiki), 7, null);
    }

    @ParameterizedTest
    @CsvSource({
        "edits, edits",
        "edits-{event_time|yyyy-MM-dd}, edits-2023-12-31",
        "edits-{event_time}, edits-2023-12-31",
        "{local_time|yyyy.MM}-edits, 2023.12-edits",
        "edits-{day|yyyy}, edits-2023",
        "edits-{ day | yyyy-MM-dd }, edits-2023-12-31",
        "edits-{event_time|yyyy-MM-dd-HH-mm}, edits-2023-12-31-23-59",
        "edits-{wiki}, edits-dewiki",
        "edits-{shard}-x, edits-7-x",
    })
    void theNameIsMadeFromTheRow(String pattern, String expected) {
        IndexName name = new IndexName(pattern, ROW);
        name.open();
        RowData row = row("2023-12-31T23:59:59.999Z", "dewiki");
        assertThat(name.of(row)).isEqualTo(expected).isEqualTo(name.of(row));
    }

    @Test
    void eachDayHasItsOwnName() {
        IndexName name = new IndexName("edits-{event_time|yyyy-MM-dd}", ROW);
        name.open();
        assertThat(name.of(row("2023-12-31T23:59:59.999Z", "x"))).isEqualTo("edits-2023-12-31");
        assertThat(name.of(row("2024-01-01T00:00:00Z", "x"))).isEqualTo("edits-2024-01-01");
        assertThat(name.of(row("1969-12-31T23:59:59.999Z", "x"))).isEqualTo("edits-1969-12-31");
        assertThat(name.of(row("2023-12-31T23:59:59.999Z", "x"))).isEqualTo("edits-2023-12-31");
    }

    @Test
    void aNullGivesNoName() {
        IndexName name = new IndexName("edits-{wiki}", ROW);
        name.open();
        assertThat(name.of(row("2024-01-01T00:00:00Z", null))).isNull();
    }

    @ParameterizedTest
    @CsvSource({
        "'', it must be a name",
        "edits-{, it must be a name",
        "edits-{nothing}, the table has no column nothing",
        "{day}-{wiki}, not several",
        "edits-{wiki|yyyy}, only a DATE or TIMESTAMP column can have a format",
        "edits-{day|bb}, the format is not one of Java's DateTimeFormatter",
        "edits-{event_time|HHmmss}, may not be finer than a minute",
        "edits-{event_time|MMM}, upper-case letters",
        "edits-{tags}, cannot be part of",
    })
    void aWrongPatternIsRefusedWithASentence(String pattern, String reason) {
        assertThatThrownBy(() -> new IndexName(pattern, ROW))
                .isInstanceOf(ValidationException.class)
                .hasMessageContaining(reason);
    }
}
