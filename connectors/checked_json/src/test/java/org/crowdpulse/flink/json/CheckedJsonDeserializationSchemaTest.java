package org.crowdpulse.flink.json;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.apache.flink.api.common.serialization.DeserializationSchema.InitializationContext;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.runtime.typeutils.InternalTypeInfo;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.util.InstantiationUtil;
import org.apache.flink.util.SimpleUserCodeClassLoader;
import org.apache.flink.util.UserCodeClassLoader;
import org.crowdpulse.flink.json.CheckedJsonDecodingFormat.Metadata;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** One record, one row: tables of good, odd and bad records. */
class CheckedJsonDeserializationSchemaTest {

    private static final RowType COLUMNS =
            (RowType)
                    DataTypes.ROW(
                                    DataTypes.FIELD(
                                            "meta",
                                            DataTypes.ROW(
                                                    DataTypes.FIELD("id", DataTypes.STRING()),
                                                    DataTypes.FIELD("dt", DataTypes.TIMESTAMP_LTZ(3)))),
                                    DataTypes.FIELD("title", DataTypes.STRING()),
                                    DataTypes.FIELD("likes", DataTypes.BIGINT()),
                                    DataTypes.FIELD("small", DataTypes.INT()),
                                    DataTypes.FIELD("share", DataTypes.DOUBLE()),
                                    DataTypes.FIELD("bot", DataTypes.BOOLEAN()),
                                    DataTypes.FIELD("tags", DataTypes.ARRAY(DataTypes.STRING())),
                                    DataTypes.FIELD(
                                            "scores", DataTypes.MAP(DataTypes.STRING(), DataTypes.DOUBLE())),
                                    DataTypes.FIELD("price", DataTypes.DECIMAL(6, 2)),
                                    DataTypes.FIELD("bytes", DataTypes.BYTES()),
                                    DataTypes.FIELD("day", DataTypes.DATE()),
                                    DataTypes.FIELD("hour", DataTypes.TIME()),
                                    DataTypes.FIELD("local", DataTypes.TIMESTAMP(3)))
                            .getLogicalType();

    private static final List<String> REQUIRED = List.of("meta.dt", "title");
    private static final int MAX_BYTES = 400;
    private static final String GOOD_META = "\"meta\":{\"dt\":\"2021-08-27T13:20:17Z\"}";

    private static final int ERROR = COLUMNS.getFieldCount();
    private static final int DETAIL = ERROR + 1;
    private static final int ODD = ERROR + 2;
    private static final int RAW = ERROR + 3;

    static Stream<Arguments> badRecords() {
        return Stream.of(
                arguments(null, "empty_value", "no value"),
                arguments("", "empty_value", "no value"),
                arguments(" \n", "empty_value", "white space"),
                arguments("{\"title\":\"" + "x".repeat(MAX_BYTES) + "\"}", "oversized", "at most 400"),
                arguments("<html>", "not_json", "at byte"),
                arguments("{" + GOOD_META + ",\"title\":\"a", "not_json", "at byte"),
                arguments("{" + GOOD_META + ",\"title\":\"a\"", "not_json", "at byte"),
                arguments("{" + GOOD_META + ",\"title\":\"a\"} {}", "not_json", "goes on"),
                arguments("{" + GOOD_META + ",\"title\":\"a\"} x", "not_json", "at byte"),
                arguments("[".repeat(300), "not_json", "at byte"),
                arguments("[1, 2", "not_json", "at byte"),
                arguments("[1, 2]", "not_an_object", "array"),
                arguments("null", "not_an_object", "null"),
                arguments("\"text\"", "not_an_object", "string"),
                arguments("{}", "missing_field", "meta is missing"),
                arguments("{\"meta\":{},\"title\":\"a\"}", "missing_field", "meta.dt is missing"),
                arguments("{" + GOOD_META + "}", "missing_field", "title is missing"),
                arguments("{\"meta\":null,\"title\":\"a\"}", "null_field", "meta is null"),
                arguments("{\"meta\":{\"dt\":null},\"title\":\"a\"}", "null_field", "meta.dt is null"),
                arguments("{\"meta\":[],\"title\":\"a\"}", "wrong_type", "meta is of JSON type array"),
                arguments("{\"meta\":{\"dt\":1},\"title\":\"a\"}", "wrong_type", "meta.dt is of JSON type number"),
                arguments("{\"meta\":{\"dt\":\"yesterday\"},\"title\":\"a\"}", "wrong_type", "meta.dt is of"),
                arguments("{\"meta\":{\"dt\":\"+99999-01-01T00:00:00Z\"},\"title\":\"a\"}", "wrong_type", "meta.dt"),
                arguments("{\"meta\":{\"dt\":\"2021-02-30T00:00:00Z\"},\"title\":\"a\"}", "wrong_type", "meta.dt"),
                arguments("{" + GOOD_META + ",\"title\":{\"a\":1}}", "wrong_type", "title is of JSON type object"));
    }

    @ParameterizedTest
    @MethodSource("badRecords")
    void aBadRecordIsARowWithItsReasonAndItsBytes(String record, String error, String detail) throws Exception {
        byte[] bytes = record == null ? null : utf8(record);

        RowData row = schema().deserialize(bytes);

        assertThat(row.getString(ERROR)).hasToString(error);
        assertThat(row.getString(DETAIL).toString()).contains(detail);
        assertThat(row.isNullAt(ODD)).isTrue();
        assertThat(row.isNullAt(RAW) ? null : row.getBinary(RAW)).isSameAs(bytes);
        for (int i = 0; i < COLUMNS.getFieldCount(); i++) {
            assertThat(row.isNullAt(i)).as("column %d", i).isTrue();
        }
    }

    static Stream<byte[]> notUtf8() {
        return Stream.of(
                latin1("{\"title\":\"caf\u00e9\"}"),
                new byte[] {'{', '"', (byte) 0xc0, (byte) 0xaf, '"', '}'}, // overlong slash
                new byte[] {'"', (byte) 0xed, (byte) 0xa0, (byte) 0x80, '"'}, // surrogate
                new byte[] {'"', (byte) 0xe2, (byte) 0x82}, // cut off
                // With the byte order mark FE FF.
                "\"title\"".getBytes(StandardCharsets.UTF_16));
    }

    @ParameterizedTest
    @MethodSource("notUtf8")
    void bytesThatAreNotUtf8AreToldApart(byte[] bytes) throws Exception {
        assertThat(schema().deserialize(bytes).getString(ERROR)).hasToString("invalid_utf8");
    }

    @Test
    void aGoodRecordHasAllItsTypes() throws Exception {
        RowData row =
                read(
                        """
                        {"skipped": {"deep": [1, {"meta": 2}]}, "meta": {"dt": "2021-08-27T15:20:17.123+02:00"},
                         "title": "\\u0141\\u00f3d\\u017a \ud83d\ude00", "likes": -9007199254740993,
                         "small": 7, "share": 1, "bot": true,
                         "tags": ["a", null], "scores": {"x": 0.5}, "price": 12.34, "bytes": "AAE=",
                         "day": "1970-01-03", "hour": "00:00:01", "local": "2021-08-27T13:20:17"}
                        """);

        assertThat(row.isNullAt(ERROR)).isTrue();
        assertThat(row.isNullAt(ODD)).isTrue();
        assertThat(row.getRow(0, 2).isNullAt(0)).isTrue();
        assertThat(row.getRow(0, 2).getTimestamp(1, 3).toInstant())
                .isEqualTo(Instant.parse("2021-08-27T13:20:17.123Z"));
        assertThat(row.getString(1)).hasToString("\u0141\u00f3d\u017a \ud83d\ude00");
        assertThat(row.getLong(2)).isEqualTo(-9007199254740993L);
        assertThat(row.getInt(3)).isEqualTo(7);
        assertThat(row.getDouble(4)).isEqualTo(1.0);
        assertThat(row.getBoolean(5)).isTrue();
        assertThat(row.getArray(6).getString(0)).hasToString("a");
        assertThat(row.getArray(6).isNullAt(1)).isTrue();
        assertThat(row.getMap(7).valueArray().getDouble(0)).isEqualTo(0.5);
        assertThat(row.getDecimal(8, 6, 2)).hasToString("12.34");
        assertThat(row.getBinary(9)).containsExactly(0, 1);
        assertThat(row.getInt(10)).isEqualTo(2);
        assertThat(row.getInt(11)).isEqualTo(1000);
        assertThat(row.getTimestamp(12, 3)).isEqualTo(TimestampData.fromEpochMillis(1630070417000L));
    }

    static Stream<Arguments> oddFields() {
        return Stream.of(
                arguments("\"likes\":\"12\"", "likes"),
                arguments("\"likes\":1.5", "likes"),
                arguments("\"likes\":99999999999999999999", "likes"),
                arguments("\"small\":3000000000", "small"),
                arguments("\"share\":1e999", "share"),
                arguments("\"share\":true", "share"),
                arguments("\"bot\":\"yes\"", "bot"),
                arguments("\"tags\":{\"a\":[1]}", "tags"),
                arguments("\"tags\":[1,2,\"c\"]", "tags[]"),
                arguments("\"scores\":{\"x\":\"high\"}", "scores.*"),
                arguments("\"price\":123456.78", "price"),
                arguments("\"price\":9999.999", "price"),
                arguments("\"price\":1" + "0".repeat(300), "price"),
                arguments("\"price\":1e100000000", "price"),
                arguments("\"price\":1e1000000000", "price"),
                arguments("\"price\":-1e2147483647", "price"),
                arguments("\"price\":1e99999999999", "price"),
                arguments("\"bytes\":\"%\"", "bytes"),
                arguments("\"day\":\"2021-13-01\"", "day"));
    }

    @ParameterizedTest
    @MethodSource("oddFields")
    @Timeout(value = 10, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void anOptionalFieldOfAnotherTypeIsNullAndNoted(String field, String path) throws Exception {
        CheckedJsonDeserializationSchema schema = schema();

        RowData row = schema.deserialize(utf8("{" + field + "," + GOOD_META + ",\"title\":\"a\"}"));

        assertThat(row.isNullAt(ERROR)).isTrue();
        assertThat(row.getArray(ODD).size()).isEqualTo(1);
        assertThat(row.getArray(ODD).getString(0)).hasToString(path);
        assertThat(schema.deserialize(utf8("{" + GOOD_META + ",\"title\":\"next\"}")).isNullAt(ODD)).isTrue();
    }

    /** Without a look at the exponent first, such numbers are written out with all their zeros. */
    @ParameterizedTest
    @CsvSource({
        "1e3, 1000.00",
        "9999.994, 9999.99",
        "0.005, 0.01",
        "0.0049, 0.00",
        "-1e-100000000, 0.00",
        "-1e-1000000000, 0.00",
        "1e-2147483647, 0.00",
        "0e1000000000, 0.00"
    })
    @Timeout(value = 10, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void aDecimalIsRoundedToItsScale(String number, String expected) throws Exception {
        RowData row = read("{\"price\":" + number + "," + GOOD_META + ",\"title\":\"a\"}");

        assertThat(row.getDecimal(8, 6, 2)).hasToString(expected);
    }

    /** Good records with bytes changed, cut out and doubled, the same ones in each run. */
    @Test
    void whateverTheBytesAreThereIsARowWithAReasonOrWithAllThatIsRequired() throws Exception {
        String good =
                """
                {"meta": {"id": "7", "dt": "2021-08-27T15:20:17.123+02:00"}, "title": "\\u0141\\ud83d\\ude00é",
                 "likes": -9007199254740993, "small": 7, "share": 1e3, "bot": true, "tags": ["a", null],
                 "scores": {"x": 0.5}, "price": 12.34, "bytes": "AAE=", "day": "1970-01-03", "hour": "00:00:01",
                 "local": "2021-08-27T13:20:17"}
                """;
        List<String> pieces =
                List.of(
                        "\"", "\\", "{", "}", "[", "]", ",", ":", "null", "\\ud800", "1e999", "-", "\u0000",
                        "9".repeat(30));
        RowData.FieldGetter[] columns = new RowData.FieldGetter[COLUMNS.getFieldCount()];
        Arrays.setAll(columns, i -> RowData.createFieldGetter(COLUMNS.getTypeAt(i), i));
        CheckedJsonDeserializationSchema schema = schema();
        Random random = new Random(7);
        int bad = 0;
        int runs = 20_000;

        for (int run = 0; run < runs; run++) {
            byte[] record = changed(utf8(good), pieces, random);
            RowData row = schema.deserialize(record);
            boolean isBad = !row.isNullAt(ERROR);
            bad += isBad ? 1 : 0;
            assertThat(row.isNullAt(DETAIL)).isNotEqualTo(isBad);
            assertThat(row.getBinary(RAW)).isSameAs(record);
            for (int i = 0; i < columns.length; i++) {
                Object value = columns[i].getFieldOrNull(row); // of the declared type, or this fails
                assertThat(isBad && value != null).as("column %d of a bad record", i).isFalse();
            }
            assertThat(isBad || !row.isNullAt(1) && !row.getRow(0, 2).isNullAt(1)).isTrue();
        }

        assertThat(bad).isBetween(runs / 4, runs * 19 / 20);
    }

    private static byte[] changed(byte[] record, List<String> pieces, Random random) {
        byte[] bytes = record.clone();
        for (int change = random.nextInt(4); change >= 0 && bytes.length > 1; change--) {
            int from = random.nextInt(bytes.length);
            int to = Math.min(bytes.length, from + random.nextInt(6));
            byte[] between =
                    switch (random.nextInt(4)) {
                        case 0 -> new byte[] {(byte) random.nextInt(256)};
                        case 1 -> new byte[0];
                        case 2 -> Arrays.copyOfRange(bytes, from, to);
                        default -> utf8(pieces.get(random.nextInt(pieces.size())));
                    };
            // Half of the changes add, the others replace what stood there.
            int until = random.nextBoolean() ? to : from;
            bytes =
                    ByteBuffer.allocate(until + between.length + bytes.length - to)
                            .put(bytes, 0, until)
                            .put(between)
                            .put(bytes, to, bytes.length - to)
                            .array();
        }
        return bytes;
    }

    @Test
    void ofAFieldGivenTwiceTheLastCounts() throws Exception {
        assertThat(read("{\"title\":\"a\"," + GOOD_META + ",\"title\":\"b\"}").getString(1)).hasToString("b");
    }

    @Test
    void aRequiredFieldThatTheTableLacksIsRefused() {
        assertThatThrownBy(() -> JsonValueReader.forRow(COLUMNS, List.of("meta.dx")))
                .isInstanceOf(ValidationException.class)
                .hasMessageContaining("meta.dx");
    }

    private static RowData read(String record) throws Exception {
        return schema().deserialize(utf8(record));
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] latin1(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    /** A schema as a task gets it: through Java serialization, then opened. */
    private static CheckedJsonDeserializationSchema schema() throws Exception {
        CheckedJsonDeserializationSchema schema =
                InstantiationUtil.clone(
                        new CheckedJsonDeserializationSchema(
                                COLUMNS,
                                REQUIRED,
                                MAX_BYTES,
                                List.of(Metadata.values()),
                                InternalTypeInfo.of(COLUMNS)));
        schema.open(
                new InitializationContext() {
                    @Override
                    public MetricGroup getMetricGroup() {
                        return new UnregisteredMetricsGroup();
                    }

                    @Override
                    public UserCodeClassLoader getUserCodeClassLoader() {
                        return SimpleUserCodeClassLoader.create(getClass().getClassLoader());
                    }
                });
        return schema;
    }
}
