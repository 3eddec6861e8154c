package org.crowdpulse.flink.elasticsearch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.math.BigDecimal;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.flink.api.common.typeutils.base.VoidSerializer;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.types.variant.Variant;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The JSON form of each SQL type. */
class JsonTypesTest {

    private static final TimestampData TIME =
            TimestampData.fromLocalDateTime(LocalDateTime.of(2024, 2, 29, 13, 14, 15, 678_901_234));

    private static StringData text(String text) {
        return StringData.fromString(text);
    }

    private static Map<Object, Object> ordered(Object... keysAndValues) {
        Map<Object, Object> map = new LinkedHashMap<>();
        for (int i = 0; i < keysAndValues.length; i += 2) {
            map.put(keysAndValues[i], keysAndValues[i + 1]);
        }
        return map;
    }

    static Stream<Arguments> values() {
        DataType place = DataTypes.ROW(
                DataTypes.FIELD("lat", DataTypes.DOUBLE()), DataTypes.FIELD("lon", DataTypes.DOUBLE()));
        DecimalData decimal = DecimalData.fromBigDecimal(new BigDecimal("12345678901234567890.0120"), 38, 4);
        return Stream.of(
                Arguments.of(DataTypes.CHAR(3), text("a\"b"), "\"a\\\"b\""),
                Arguments.of(DataTypes.STRING(), text("Zoë\n😀"), "\"Zoë\\n😀\""),
                Arguments.of(DataTypes.STRING(), null, "null"),
                Arguments.of(DataTypes.BOOLEAN(), true, "true"),
                Arguments.of(DataTypes.BOOLEAN(), false, "false"),
                Arguments.of(DataTypes.TINYINT(), (byte) -5, "-5"),
                Arguments.of(DataTypes.SMALLINT(), (short) 300, "300"),
                Arguments.of(DataTypes.INT(), Integer.MIN_VALUE, "-2147483648"),
                Arguments.of(DataTypes.BIGINT(), Long.MAX_VALUE, "9223372036854775807"),
                Arguments.of(DataTypes.FLOAT(), 0.1f, "0.1"),
                Arguments.of(DataTypes.FLOAT(), Float.POSITIVE_INFINITY, "null"),
                Arguments.of(DataTypes.DOUBLE(), 1e300, "1.0E300"),
                Arguments.of(DataTypes.DOUBLE(), -0.5, "-0.5"),
                Arguments.of(DataTypes.DOUBLE(), Double.NaN, "null"),
                Arguments.of(DataTypes.DOUBLE(), Double.NEGATIVE_INFINITY, "null"),
                Arguments.of(DataTypes.DECIMAL(38, 4), decimal, "12345678901234567890.0120"),
                Arguments.of(DataTypes.DECIMAL(10, 8),
                        DecimalData.fromBigDecimal(new BigDecimal("0.00000001"), 10, 8), "0.00000001"),
                Arguments.of(DataTypes.DATE(), (int) LocalDate.of(2024, 2, 29).toEpochDay(), "\"2024-02-29\""),
                Arguments.of(DataTypes.DATE(), -1, "\"1969-12-31\""),
                Arguments.of(DataTypes.TIME(0), LocalTime.of(1, 2, 3).toSecondOfDay() * 1000, "\"01:02:03\""),
                Arguments.of(DataTypes.TIME(3), 3_723_004, "\"01:02:03.004\""),
                Arguments.of(DataTypes.TIMESTAMP(3), TIME, "\"2024-02-29T13:14:15.678\""),
                Arguments.of(DataTypes.TIMESTAMP(9), TIME, "\"2024-02-29T13:14:15.678901234\""),
                Arguments.of(DataTypes.TIMESTAMP_LTZ(0), TIME, "\"2024-02-29T13:14:15.678Z\""),
                Arguments.of(DataTypes.TIMESTAMP_LTZ(3),
                        TimestampData.fromInstant(Instant.ofEpochMilli(-1)), "\"1969-12-31T23:59:59.999Z\""),
                Arguments.of(DataTypes.TIMESTAMP_LTZ(6), TIME, "\"2024-02-29T13:14:15.678901Z\""),
                Arguments.of(DataTypes.INTERVAL(DataTypes.MONTH()), 14, "14"),
                Arguments.of(DataTypes.INTERVAL(DataTypes.SECOND(3)), 1500L, "1500"),
                Arguments.of(DataTypes.BYTES(), new byte[] {(byte) 0xfb, (byte) 0xff, 0}, "\"+/8A\""),
                Arguments.of(DataTypes.BINARY(1), new byte[] {1}, "\"AQ==\""),
                Arguments.of(DataTypes.ARRAY(DataTypes.INT()), new GenericArrayData(new Integer[] {1, null, 3}),
                        "[1,null,3]"),
                Arguments.of(DataTypes.ARRAY(DataTypes.STRING()), new GenericArrayData(new Object[0]), "[]"),
                Arguments.of(DataTypes.MAP(DataTypes.STRING(), DataTypes.INT()),
                        new GenericMapData(ordered(text("a\"b"), 1, null, null)), "{\"a\\\"b\":1,\"null\":null}"),
                Arguments.of(DataTypes.MAP(DataTypes.DATE(), DataTypes.BOOLEAN()),
                        new GenericMapData(ordered(0, true)), "{\"1970-01-01\":true}"),
                Arguments.of(DataTypes.MAP(DataTypes.INT(), DataTypes.ARRAY(DataTypes.DOUBLE())),
                        new GenericMapData(ordered(7, new GenericArrayData(new double[] {0.5}))), "{\"7\":[0.5]}"),
                Arguments.of(DataTypes.MULTISET(DataTypes.STRING()),
                        new GenericMapData(ordered(text("x"), 2, text("y"), 1)), "{\"x\":2,\"y\":1}"),
                Arguments.of(place, GenericRowData.of(52.5, null), "{\"lat\":52.5,\"lon\":null}"),
                Arguments.of(DataTypes.ARRAY(place),
                        new GenericArrayData(new Object[] {GenericRowData.of(1.0, 2.0), null}),
                        "[{\"lat\":1.0,\"lon\":2.0},null]"),
                Arguments.of(DataTypes.VARIANT(),
                        Variant.newBuilder().object().add("a", Variant.newBuilder().of(1)).build(), "{\"a\":1}"));
    }

    @ParameterizedTest
    @MethodSource("values")
    void everyTypeHasItsJsonForm(DataType type, Object value, String json) throws Exception {
        RowType row = (RowType) DataTypes.ROW(DataTypes.FIELD("a \"field\"", type)).getLogicalType();
        JsonBuffer out = new JsonBuffer();
        JsonTypes.row(row).write(GenericRowData.of(value), true, out);
        assertThat(out.toText()).isEqualTo("{\"a \\\"field\\\"\":" + json + "}");
        ElasticsearchServer.JSON.readTree(out.toBytes());
    }

    @Test
    void aTypeWithoutJsonFormIsRefusedWithASentence() {
        DataType raw = DataTypes.RAW(Void.class, VoidSerializer.INSTANCE);
        assertThatThrownBy(() -> JsonTypes.json(DataTypes.ARRAY(raw).getLogicalType()))
                .isInstanceOf(ValidationException.class)
                .hasMessageContaining("has no JSON form. Cast it");
    }

    @Test
    void theKeysOfAnObjectMustBeScalars() {
        DataType map = DataTypes.MAP(DataTypes.ARRAY(DataTypes.INT()), DataTypes.INT());
        assertThatThrownBy(() -> JsonTypes.json(map.getLogicalType()))
                .isInstanceOf(ValidationException.class)
                .hasMessageContaining("cannot be part of a document id, an index name or the key of an object");
    }
}
