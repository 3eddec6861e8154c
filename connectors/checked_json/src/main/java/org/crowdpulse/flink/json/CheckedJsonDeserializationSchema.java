package org.crowdpulse.flink.json;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.metrics.Counter;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonFactory;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonLocation;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParser;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonProcessingException;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonToken;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.util.Collector;
import org.crowdpulse.flink.json.CheckedJsonDecodingFormat.Metadata;

/** Turns each record into exactly one row, good or bad, in one pass of a streaming parser over the bytes. */
final class CheckedJsonDeserializationSchema implements DeserializationSchema<RowData> {

    private static final long serialVersionUID = 1L;

    private final int columns;
    private final JsonValueReader.RowReader reader;
    private final long maxBytes;
    private final Metadata[] metadata;
    private final TypeInformation<RowData> producedType;

    private transient JsonFactory json;
    private transient List<String> oddFields;
    private transient Counter errors;

    CheckedJsonDeserializationSchema(
            RowType rowType,
            List<String> required,
            long maxBytes,
            List<Metadata> metadata,
            TypeInformation<RowData> producedType) {
        this.columns = rowType.getFieldCount();
        this.reader = JsonValueReader.forRow(rowType, required);
        this.maxBytes = maxBytes;
        this.metadata = metadata.toArray(new Metadata[0]);
        this.producedType = producedType;
    }

    @Override
    public void open(InitializationContext context) {
        // Names come from outside and are not a closed set: interning them would grow without bound.
        json = JsonFactory.builder().disable(JsonFactory.Feature.INTERN_FIELD_NAMES).build();
        oddFields = new ArrayList<>();
        errors = context.getMetricGroup().counter("errorRows");
    }

    @Override
    public void deserialize(byte[] message, Collector<RowData> out) {
        out.collect(deserialize(message));
    }

    @Override
    public RowData deserialize(byte[] message) {
        oddFields.clear();
        GenericRowData row;
        RecordError error = null;
        try {
            row = parse(message);
        } catch (RecordError e) {
            errors.inc();
            error = e;
            row = new GenericRowData(columns + metadata.length);
        }
        for (int i = 0; i < metadata.length; i++) {
            row.setField(columns + i, metadataValue(metadata[i], message, error));
        }
        return row;
    }

    private GenericRowData parse(byte[] message) throws RecordError {
        if (message == null || message.length == 0) {
            throw new RecordError(RecordError.Kind.EMPTY_VALUE, "The record has no value.");
        }
        if (message.length > maxBytes) {
            throw new RecordError(
                    RecordError.Kind.OVERSIZED,
                    "The record has %d bytes, at most %d are parsed.".formatted(message.length, maxBytes));
        }
        if (!isUtf8(message)) {
            throw new RecordError(RecordError.Kind.INVALID_UTF8, "The record is not valid UTF-8.");
        }
        try (JsonParser parser = json.createParser(message)) {
            JsonToken first = parser.nextToken();
            if (first == null) {
                throw new RecordError(RecordError.Kind.EMPTY_VALUE, "The record holds only white space.");
            }
            if (first != JsonToken.START_OBJECT) {
                // The whole of it, so that "[1, 2" is told as broken JSON and "[1, 2]" as no object.
                parser.skipChildren();
                requireEnd(parser);
                throw new RecordError(
                        RecordError.Kind.NOT_AN_OBJECT,
                        "The record is a JSON %s, not an object.".formatted(JsonValueReader.nameOf(first)));
            }
            // The row is made with room for the metadata, so that no record is copied.
            GenericRowData row = reader.readRow(parser, oddFields, metadata.length);
            requireEnd(parser);
            return row;
        } catch (JsonProcessingException e) {
            throw notJson(e);
        } catch (IOException e) {
            throw new IllegalStateException("Reading from memory cannot fail.", e);
        }
    }

    private static void requireEnd(JsonParser parser) throws IOException, RecordError {
        if (parser.nextToken() != null) {
            throw new RecordError(
                    RecordError.Kind.NOT_JSON,
                    "The record goes on after its JSON value, at byte %d."
                            .formatted(parser.currentTokenLocation().getByteOffset()));
        }
    }

    private static RecordError notJson(JsonProcessingException e) {
        JsonLocation at = e.getLocation();
        String where = at == null ? "" : " at byte " + Math.max(0, at.getByteOffset());
        // The message's first line only: the rest quotes the source, which the raw bytes already hold.
        String what = e.getOriginalMessage().lines().findFirst().orElse("unreadable");
        return new RecordError(RecordError.Kind.NOT_JSON, "The record is not JSON%s: %s".formatted(where, what));
    }

    /** Also refuses what a lenient parser would repair: surrogates, overlong forms, cut-off characters. */
    private static boolean isUtf8(byte[] bytes) {
        int i = 0;
        while (i < bytes.length && bytes[i] >= 0) {
            i++;
        }
        if (i == bytes.length) {
            return true;
        }
        try {
            StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes, i, bytes.length - i));
            return true;
        } catch (CharacterCodingException e) {
            return false;
        }
    }

    private Object metadataValue(Metadata which, byte[] message, RecordError error) {
        return switch (which) {
            case RAW -> message;
            case ERROR -> error == null ? null : StringData.fromString(error.kind.name().toLowerCase(Locale.ROOT));
            case ERROR_DETAIL -> error == null ? null : StringData.fromString(error.getMessage());
            case ODD_FIELDS ->
                    error != null || oddFields.isEmpty()
                            ? null
                            : new GenericArrayData(oddFields.stream().map(StringData::fromString).toArray());
        };
    }

    @Override
    public boolean isEndOfStream(RowData nextElement) {
        return false;
    }

    @Override
    public TypeInformation<RowData> getProducedType() {
        return producedType;
    }
}
