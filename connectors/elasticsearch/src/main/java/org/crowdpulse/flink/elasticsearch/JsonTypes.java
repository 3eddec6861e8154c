package org.crowdpulse.flink.elasticsearch;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.MapData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.DistinctType;
import org.apache.flink.table.types.logical.IntType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.MapType;
import org.apache.flink.table.types.logical.MultisetType;
import org.apache.flink.table.types.logical.utils.LogicalTypeChecks;
import org.apache.flink.types.bitmap.Bitmap;
import org.apache.flink.types.variant.Variant;

/** Builds, once per column, what writes its values as JSON or as plain text. */
final class JsonTypes {

    /** Writes one value, never null, in the internal form of Flink's tables. */
    @FunctionalInterface
    interface Writer {
        void write(Object value, JsonBuffer out);
    }

    private static final byte[] NULL = "null".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] TRUE = "true".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] FALSE = "false".getBytes(StandardCharsets.US_ASCII);

    private JsonTypes() {}

    /** The writer of a type's JSON form; a type that has none is refused with a sentence. */
    static Writer json(LogicalType type) {
        return switch (type.getTypeRoot()) {
            case DISTINCT_TYPE -> json(((DistinctType) type).getSourceType());
            case BOOLEAN, TINYINT, SMALLINT, INTEGER, BIGINT, DECIMAL, INTERVAL_YEAR_MONTH, INTERVAL_DAY_TIME ->
                    text(type);
            case FLOAT -> (value, out) -> number((Float) value, Float.isFinite((Float) value), out);
            case DOUBLE -> (value, out) -> number((Double) value, Double.isFinite((Double) value), out);
            case CHAR, VARCHAR -> (value, out) -> {
                out.raw('"');
                out.escaped(((StringData) value).toBytes());
                out.raw('"');
            };
            case BINARY, VARBINARY, DATE, TIME_WITHOUT_TIME_ZONE, TIMESTAMP_WITHOUT_TIME_ZONE,
                    TIMESTAMP_WITH_LOCAL_TIME_ZONE -> quoted(text(type));
            case ARRAY -> array(((ArrayType) type).getElementType());
            case MAP -> map(((MapType) type).getKeyType(), ((MapType) type).getValueType());
            case MULTISET -> map(((MultisetType) type).getElementType(), new IntType(false));
            case ROW, STRUCTURED_TYPE -> {
                Row row = row(type);
                yield (value, out) -> row.write((RowData) value, true, out);
            }
            case VARIANT -> (value, out) -> out.raw(((Variant) value).toJson());
            case BITMAP -> (value, out) -> numbers(((Bitmap) value).toArray(), out);
            default -> throw new ValidationException("A column of type " + type.asSummaryString()
                    + " has no JSON form. Cast it, for example to STRING, before it is written to Elasticsearch.");
        };
    }

    /** The writer of a type's plain text, for document ids, index names and keys of objects. */
    static Writer text(LogicalType type) {
        int precision = precisionOf(type);
        return switch (type.getTypeRoot()) {
            case DISTINCT_TYPE -> text(((DistinctType) type).getSourceType());
            case CHAR, VARCHAR -> (value, out) -> out.raw(((StringData) value).toBytes());
            case BOOLEAN -> (value, out) -> out.raw((Boolean) value ? TRUE : FALSE);
            case TINYINT, SMALLINT, INTEGER, INTERVAL_YEAR_MONTH, BIGINT, INTERVAL_DAY_TIME ->
                    (value, out) -> out.number(((Number) value).longValue());
            case FLOAT, DOUBLE -> (value, out) -> out.raw(value.toString());
            case DECIMAL -> (value, out) -> out.raw(((DecimalData) value).toBigDecimal().toPlainString());
            case BINARY, VARBINARY -> (value, out) -> out.raw(Base64.getEncoder().encode((byte[]) value));
            case DATE -> (value, out) -> out.date((Integer) value);
            case TIME_WITHOUT_TIME_ZONE -> (value, out) -> out.time((Integer) value, 0, precision);
            case TIMESTAMP_WITHOUT_TIME_ZONE -> (value, out) -> timestamp((TimestampData) value, precision, out);
            case TIMESTAMP_WITH_LOCAL_TIME_ZONE -> (value, out) -> {
                timestamp((TimestampData) value, precision, out);
                out.raw('Z');
            };
            default -> throw new ValidationException("A value of type " + type.asSummaryString()
                    + " cannot be part of a document id, an index name or the key of an object. Cast it to STRING.");
        };
    }

    private static int precisionOf(LogicalType type) {
        return switch (type.getTypeRoot()) {
            case TIME_WITHOUT_TIME_ZONE, TIMESTAMP_WITHOUT_TIME_ZONE, TIMESTAMP_WITH_LOCAL_TIME_ZONE ->
                    LogicalTypeChecks.getPrecision(type);
            default -> 0;
        };
    }

    private static void timestamp(TimestampData value, int precision, JsonBuffer out) {
        out.timestamp(value.getMillisecond(), value.getNanoOfMillisecond(), precision);
    }

    /** JSON has no NaN and no infinity: they become null. */
    private static void number(Object value, boolean finite, JsonBuffer out) {
        if (finite) {
            out.raw(value.toString());
        } else {
            out.raw(NULL);
        }
    }

    private static void numbers(int[] values, JsonBuffer out) {
        out.raw('[');
        for (int i = 0; i < values.length; i++) {
            if (i > 0) {
                out.raw(',');
            }
            out.number(Integer.toUnsignedLong(values[i]));
        }
        out.raw(']');
    }

    private static Writer quoted(Writer text) {
        return (value, out) -> {
            out.raw('"');
            text.write(value, out);
            out.raw('"');
        };
    }

    private static Writer array(LogicalType elementType) {
        ArrayData.ElementGetter getter = ArrayData.createElementGetter(elementType);
        Writer element = json(elementType);
        return (value, out) -> {
            ArrayData array = (ArrayData) value;
            out.raw('[');
            for (int i = 0; i < array.size(); i++) {
                if (i > 0) {
                    out.raw(',');
                }
                writeOrNull(element, getter.getElementOrNull(array, i), out);
            }
            out.raw(']');
        };
    }

    private static Writer map(LogicalType keyType, LogicalType valueType) {
        ArrayData.ElementGetter keyGetter = ArrayData.createElementGetter(keyType);
        ArrayData.ElementGetter valueGetter = ArrayData.createElementGetter(valueType);
        Writer key = keyType.is(LogicalTypeRoot.CHAR) || keyType.is(LogicalTypeRoot.VARCHAR)
                ? json(keyType)
                : quoted(text(keyType));
        Writer element = json(valueType);
        return (value, out) -> {
            MapData map = (MapData) value;
            ArrayData keys = map.keyArray();
            ArrayData values = map.valueArray();
            out.raw('{');
            for (int i = 0; i < map.size(); i++) {
                if (i > 0) {
                    out.raw(',');
                }
                Object keyValue = keyGetter.getElementOrNull(keys, i);
                if (keyValue == null) {
                    out.quoted("null");
                } else {
                    key.write(keyValue, out);
                }
                out.raw(':');
                writeOrNull(element, valueGetter.getElementOrNull(values, i), out);
            }
            out.raw('}');
        };
    }

    private static void writeOrNull(Writer writer, Object value, JsonBuffer out) {
        if (value == null) {
            out.raw(NULL);
        } else {
            writer.write(value, out);
        }
    }

    /** The writer of a row type as a JSON object. */
    static Row row(LogicalType type) {
        return new Row(type);
    }

    /** Writes a row as a JSON object. */
    static final class Row {

        private final byte[][] names;
        private final RowData.FieldGetter[] getters;
        private final Writer[] writers;

        private Row(LogicalType type) {
            List<String> fieldNames = LogicalTypeChecks.getFieldNames(type);
            List<LogicalType> fieldTypes = new ArrayList<>(LogicalTypeChecks.getFieldTypes(type));
            names = new byte[fieldNames.size()][];
            getters = new RowData.FieldGetter[names.length];
            writers = new Writer[names.length];
            for (int i = 0; i < names.length; i++) {
                JsonBuffer name = new JsonBuffer();
                name.quoted(fieldNames.get(i));
                name.raw(':');
                names[i] = name.toBytes();
                getters[i] = RowData.createFieldGetter(fieldTypes.get(i), i);
                writers[i] = json(fieldTypes.get(i));
            }
        }

        /**
         * @param withNulls whether fields that are null are written; what is null within a field always is
         */
        void write(RowData row, boolean withNulls, JsonBuffer out) {
            char before = '{';
            for (int i = 0; i < names.length; i++) {
                Object value = getters[i].getFieldOrNull(row);
                if (value != null || withNulls) {
                    out.raw(before);
                    out.raw(names[i]);
                    writeOrNull(writers[i], value, out);
                    before = ',';
                }
            }
            if (before == '{') {
                out.raw('{');
            }
            out.raw('}');
        }
    }
}
