package org.crowdpulse.flink.json;

import java.io.IOException;
import java.io.Serializable;
import java.math.BigDecimal;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParser;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonToken;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.exc.InputCoercionException;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.MapType;
import org.apache.flink.table.types.logical.RowType;

/**
 * Reads one JSON value as one SQL type. Types are not coerced: a number is no string, a string is no number; times are
 * ISO-8601 strings.
 */
@FunctionalInterface
interface JsonValueReader extends Serializable {

    /** What {@link #read} returns for a value of another type. */
    Object WRONG_TYPE = new Object();

    /** SQL's range of years; java.time reads more, which overflows a count of milliseconds. */
    Instant FIRST_INSTANT = Instant.parse("0001-01-01T00:00:00Z");

    Instant LAST_INSTANT = Instant.parse("9999-12-31T23:59:59.999999999Z");

    /**
     * Reads the value at the parser's current token and leaves the parser at the value's last token.
     *
     * @param oddFields gets the paths of optional fields within the value that were of another type
     * @return the value in Flink's internal form, or {@link #WRONG_TYPE}
     */
    Object read(JsonParser parser, List<String> oddFields) throws IOException, RecordError;

    /** A reader for the columns of a table; each of {@code required} is a path such as {@code meta.dt}. */
    static RowReader forRow(RowType type, List<String> required) {
        Set<String> paths = new HashSet<>();
        for (String path : required) {
            // A field cannot be there without the objects around it.
            for (int dot = path.indexOf('.'); dot >= 0; dot = path.indexOf('.', dot + 1)) {
                paths.add(path.substring(0, dot));
            }
            paths.add(path);
        }
        Set<String> unknown = new HashSet<>(paths);
        RowReader reader = new RowReader(type, "", paths, unknown);
        if (!unknown.isEmpty()) {
            throw new ValidationException(
                    "'checked-json.required' names fields that the table does not have: " + String.join(", ", unknown));
        }
        return reader;
    }

    /** The word for a value's JSON type in a sentence. */
    static String nameOf(JsonToken token) {
        return switch (token) {
            case START_OBJECT -> "object";
            case START_ARRAY -> "array";
            case VALUE_STRING -> "string";
            case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> "number";
            case VALUE_TRUE, VALUE_FALSE -> "boolean";
            case VALUE_NULL -> "null";
            default -> "value";
        };
    }

    private static JsonValueReader forType(LogicalType type, String path, Set<String> required, Set<String> unknown) {
        return switch (type.getTypeRoot()) {
            case BOOLEAN -> (p, odd) -> p.currentToken().isBoolean() ? (Object) p.getBooleanValue() : WRONG_TYPE;
            case CHAR, VARCHAR ->
                    (p, odd) -> p.hasToken(JsonToken.VALUE_STRING) ? StringData.fromString(p.getText()) : WRONG_TYPE;
            case TINYINT -> integer(JsonParser::getByteValue);
            case SMALLINT -> integer(JsonParser::getShortValue);
            case INTEGER -> integer(JsonParser::getIntValue);
            case BIGINT -> integer(JsonParser::getLongValue);
            case FLOAT -> number(p -> finite(p.getFloatValue()));
            case DOUBLE -> number(p -> finite(p.getDoubleValue()));
            case DECIMAL -> {
                DecimalType decimal = (DecimalType) type;
                yield number(p -> decimal(p.getDecimalValue(), decimal));
            }
            case BINARY, VARBINARY -> text(text -> Base64.getDecoder().decode(text));
            case DATE -> text(text -> (int) LocalDate.parse(text).toEpochDay());
            case TIME_WITHOUT_TIME_ZONE -> text(text -> (int) (LocalTime.parse(text).toNanoOfDay() / 1_000_000));
            case TIMESTAMP_WITHOUT_TIME_ZONE ->
                    text(text -> TimestampData.fromLocalDateTime(LocalDateTime.parse(text)));
            case TIMESTAMP_WITH_LOCAL_TIME_ZONE -> text(text -> TimestampData.fromInstant(instant(text)));
            case ARRAY -> {
                LogicalType element = ((ArrayType) type).getElementType();
                yield array(forType(element, path + "[]", required, unknown), path + "[]");
            }
            case MAP -> {
                MapType map = (MapType) type;
                if (!map.getKeyType().is(LogicalTypeRoot.VARCHAR)) {
                    throw new ValidationException("A map of checked-json has STRING keys: " + path);
                }
                yield map(forType(map.getValueType(), path + ".*", required, unknown), path + ".*");
            }
            case ROW -> new RowReader((RowType) type, path + ".", required, unknown);
            default -> throw new ValidationException("checked-json does not read %s: %s".formatted(type, path));
        };
    }

    private static JsonValueReader integer(NumberReader reader) {
        return (p, odd) -> p.hasToken(JsonToken.VALUE_NUMBER_INT) ? orWrongType(reader, p) : WRONG_TYPE;
    }

    private static JsonValueReader number(NumberReader reader) {
        return (p, odd) -> p.currentToken().isNumeric() ? orWrongType(reader, p) : WRONG_TYPE;
    }

    private static Object orWrongType(NumberReader reader, JsonParser parser) throws IOException {
        try {
            return reader.read(parser);
        } catch (InputCoercionException | NumberFormatException e) {
            return WRONG_TYPE; // Out of the type's range, or an exponent beyond BigDecimal's.
        }
    }

    private static Object finite(double value) {
        return Double.isFinite(value) ? (Object) value : WRONG_TYPE;
    }

    private static Object finite(float value) {
        return Float.isFinite(value) ? (Object) value : WRONG_TYPE;
    }

    private static Object decimal(BigDecimal value, DecimalType type) {
        // Not beyond 10 to this power. Rounding writes out all zeros of 1e1000000000, so it gets no such numbers.
        long power = (long) value.precision() - value.scale();
        if (value.signum() != 0 && power > type.getPrecision() - type.getScale()) {
            return WRONG_TYPE;
        }
        BigDecimal near = value.signum() == 0 || power < -type.getScale() ? BigDecimal.ZERO : value;
        DecimalData decimal = DecimalData.fromBigDecimal(near, type.getPrecision(), type.getScale());
        return decimal == null ? WRONG_TYPE : decimal;
    }

    private static JsonValueReader text(TextReader reader) {
        return (p, odd) -> {
            if (!p.hasToken(JsonToken.VALUE_STRING)) {
                return WRONG_TYPE;
            }
            try {
                return reader.read(p.getText());
            } catch (DateTimeException | IllegalArgumentException e) {
                return WRONG_TYPE;
            }
        };
    }

    private static Instant instant(String text) {
        Instant instant = text.endsWith("Z") ? Instant.parse(text) : OffsetDateTime.parse(text).toInstant();
        if (instant.isBefore(FIRST_INSTANT) || instant.isAfter(LAST_INSTANT)) {
            throw new DateTimeException("outside the years 1 to 9999");
        }
        return instant;
    }

    private static JsonValueReader array(JsonValueReader element, String path) {
        return (p, odd) -> {
            if (!p.hasToken(JsonToken.START_ARRAY)) {
                return WRONG_TYPE;
            }
            List<Object> values = new ArrayList<>();
            while (p.nextToken() != JsonToken.END_ARRAY) {
                values.add(optional(element, p, odd, path));
            }
            return new GenericArrayData(values.toArray());
        };
    }

    private static JsonValueReader map(JsonValueReader value, String path) {
        return (p, odd) -> {
            if (!p.hasToken(JsonToken.START_OBJECT)) {
                return WRONG_TYPE;
            }
            Map<Object, Object> values = new HashMap<>();
            while (p.nextToken() != JsonToken.END_OBJECT) {
                StringData key = StringData.fromString(p.currentName());
                p.nextToken();
                values.put(key, optional(value, p, odd, path));
            }
            return new GenericMapData(values);
        };
    }

    /** Reads a value that may be null or of another type; the latter is null too, and its path is noted. */
    private static Object optional(JsonValueReader reader, JsonParser parser, List<String> oddFields, String path)
            throws IOException, RecordError {
        if (parser.hasToken(JsonToken.VALUE_NULL)) {
            return null;
        }
        Object value = reader.read(parser, oddFields);
        if (value != WRONG_TYPE) {
            return value;
        }
        parser.skipChildren();
        if (!oddFields.contains(path)) {
            oddFields.add(path);
        }
        return null;
    }

    /** Reads an object as a row; fields that the row lacks are skipped, of a field given twice the last counts. */
    final class RowReader implements JsonValueReader {

        private static final long serialVersionUID = 1L;

        private final Map<String, Integer> positions = new HashMap<>();
        private final JsonValueReader[] readers;
        private final String[] paths;
        private final String[] types;
        private final boolean[] required;

        private RowReader(RowType type, String prefix, Set<String> requiredPaths, Set<String> unknown) {
            int size = type.getFieldCount();
            readers = new JsonValueReader[size];
            paths = new String[size];
            types = new String[size];
            required = new boolean[size];
            for (int i = 0; i < size; i++) {
                positions.put(type.getFieldNames().get(i), i);
                paths[i] = prefix + type.getFieldNames().get(i);
                types[i] = type.getTypeAt(i).is(LogicalTypeRoot.ROW) ? "object" : type.getTypeAt(i).asSummaryString();
                required[i] = requiredPaths.contains(paths[i]);
                unknown.remove(paths[i]);
                readers[i] = forType(type.getTypeAt(i), paths[i], requiredPaths, unknown);
            }
        }

        @Override
        public Object read(JsonParser parser, List<String> oddFields) throws IOException, RecordError {
            return parser.hasToken(JsonToken.START_OBJECT) ? readRow(parser, oddFields, 0) : WRONG_TYPE;
        }

        /** Reads the object that begins here, into a row with room for {@code extraFields} more. */
        GenericRowData readRow(JsonParser parser, List<String> oddFields, int extraFields)
                throws IOException, RecordError {
            GenericRowData row = new GenericRowData(readers.length + extraFields);
            while (parser.nextToken() != JsonToken.END_OBJECT) {
                Integer position = positions.get(parser.currentName());
                JsonToken token = parser.nextToken();
                if (position == null) {
                    parser.skipChildren();
                } else if (!required[position]) {
                    row.setField(position, optional(readers[position], parser, oddFields, paths[position]));
                } else if (token == JsonToken.VALUE_NULL) {
                    throw new RecordError(
                            RecordError.Kind.NULL_FIELD, "The required field %s is null.".formatted(paths[position]));
                } else {
                    Object value = readers[position].read(parser, oddFields);
                    if (value == WRONG_TYPE) {
                        throw new RecordError(
                                RecordError.Kind.WRONG_TYPE,
                                "The required field %s is of JSON type %s and cannot be read as %s."
                                        .formatted(paths[position], nameOf(token), types[position]));
                    }
                    row.setField(position, value);
                }
            }
            for (int i = 0; i < required.length; i++) {
                if (required[i] && row.isNullAt(i)) {
                    throw new RecordError(
                            RecordError.Kind.MISSING_FIELD, "The required field %s is missing.".formatted(paths[i]));
                }
            }
            return row;
        }
    }

    /** Reads a number at the parser's current token. */
    @FunctionalInterface
    interface NumberReader extends Serializable {
        Object read(JsonParser parser) throws IOException;
    }

    /** Reads a value that JSON writes as a string; any exception of java.time or Base64 means another type. */
    @FunctionalInterface
    interface TextReader extends Serializable {
        Object read(String text);
    }
}
