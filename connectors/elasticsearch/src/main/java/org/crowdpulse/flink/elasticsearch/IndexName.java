package org.crowdpulse.flink.elasticsearch;

import java.io.Serializable;
import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;

/**
 * The index of a row: a fixed name, or one with a column in it, {@code name-{column}} or {@code name-{column|format}}.
 * Times are formatted in UTC.
 */
final class IndexName implements Serializable {

    private static final long serialVersionUID = 1L;
    private static final Pattern COLUMN = Pattern.compile("\\{([^{}|]+)(?:\\|([^{}]+))?\\}");
    private static final String DEFAULT_FORMAT = "yyyy-MM-dd";
    private static final int CACHED_NAMES = 1000;

    private final String prefix;
    private final String suffix;
    /** Position of the column in the row; -1 when the name is fixed. */
    private final int column;
    private final LogicalType columnType;
    private final String format;

    private transient RowData.FieldGetter getter;
    private transient JsonTypes.Writer text;
    private transient DateTimeFormatter formatter;
    private transient JsonBuffer buffer;
    private transient Map<Object, String> names;

    /**
     * @param pattern the option {@code index}
     * @param row the table's physical columns
     */
    IndexName(String pattern, RowType row) {
        Matcher matcher = COLUMN.matcher(pattern);
        if (!matcher.find()) {
            if (pattern.isBlank() || pattern.contains("{") || pattern.contains("}")) {
                throw invalid(pattern, "it must be a name, or a name with one {column} or {column|format} in it");
            }
            prefix = pattern;
            suffix = "";
            column = -1;
            columnType = null;
            format = null;
            return;
        }
        prefix = pattern.substring(0, matcher.start());
        suffix = pattern.substring(matcher.end());
        if ((prefix + suffix).contains("{") || (prefix + suffix).contains("}")) {
            throw invalid(pattern, "it may have one column in it, not several");
        }
        column = row.getFieldIndex(matcher.group(1).trim());
        if (column < 0) {
            throw invalid(pattern, "the table has no column " + matcher.group(1).trim());
        }
        columnType = row.getTypeAt(column);
        boolean time = columnType.is(LogicalTypeRoot.DATE)
                || columnType.is(LogicalTypeRoot.TIMESTAMP_WITHOUT_TIME_ZONE)
                || columnType.is(LogicalTypeRoot.TIMESTAMP_WITH_LOCAL_TIME_ZONE);
        if (!time && matcher.group(2) != null) {
            throw invalid(pattern, "only a DATE or TIMESTAMP column can have a format");
        }
        format = !time ? null : matcher.group(2) == null ? DEFAULT_FORMAT : matcher.group(2).trim();
        if (time) {
            checkFormat(pattern);
        } else {
            JsonTypes.text(columnType);
        }
    }

    private void checkFormat(String pattern) {
        String first;
        String last;
        try {
            first = formatter().format(Instant.EPOCH.atOffset(ZoneOffset.UTC));
            last = formatter().format(Instant.EPOCH.plusMillis(59_999).atOffset(ZoneOffset.UTC));
        } catch (RuntimeException e) {
            throw invalid(pattern, "the format is not one of Java's DateTimeFormatter: " + e.getMessage());
        }
        if (!first.equals(last)) {
            throw invalid(pattern, "its format may not be finer than a minute");
        }
        if (!first.toLowerCase(Locale.ROOT).equals(first)) {
            throw invalid(pattern, "its format gives upper-case letters, which Elasticsearch does not allow");
        }
    }

    private DateTimeFormatter formatter() {
        return DateTimeFormatter.ofPattern(format, Locale.ROOT);
    }

    private static ValidationException invalid(String pattern, String reason) {
        return new ValidationException("The option 'index' = '" + pattern + "' is wrong: " + reason + ".");
    }

    void open() {
        if (column < 0) {
            return;
        }
        getter = RowData.createFieldGetter(columnType, column);
        buffer = new JsonBuffer();
        names = new HashMap<>();
        if (format == null) {
            text = JsonTypes.text(columnType);
        } else {
            formatter = formatter();
        }
    }

    /** The column in the name, or -1. */
    int column() {
        return column;
    }

    /** The index of a row; null when the column in the name is null. */
    String of(RowData row) {
        if (column < 0) {
            return prefix;
        }
        Object value = getter.getFieldOrNull(row);
        if (value == null) {
            return null;
        }
        if (names.size() >= CACHED_NAMES) {
            names.clear();
        }
        if (format == null) {
            buffer.clear();
            text.write(value, buffer);
            return names.computeIfAbsent(buffer.toText(), name -> prefix + name + suffix);
        }
        long minute = value instanceof TimestampData timestamp
                ? Math.floorDiv(timestamp.getMillisecond(), 60_000L)
                : LocalDate.ofEpochDay((Integer) value).toEpochDay() * 1440;
        return names.computeIfAbsent(
                minute,
                key -> prefix + formatter.format(Instant.ofEpochSecond(minute * 60).atOffset(ZoneOffset.UTC)) + suffix);
    }
}
