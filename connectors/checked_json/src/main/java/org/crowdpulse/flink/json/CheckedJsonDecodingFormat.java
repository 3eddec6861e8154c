package org.crowdpulse.flink.json;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.utils.DataTypeUtils;

/** Creates the deserializer for a table's columns and for the metadata columns that it declares. */
final class CheckedJsonDecodingFormat implements DecodingFormat<DeserializationSchema<RowData>> {

    private final List<String> required;
    private final long maxBytes;
    private List<Metadata> metadata = List.of();

    CheckedJsonDecodingFormat(List<String> required, long maxBytes) {
        this.required = required;
        this.maxBytes = maxBytes;
    }

    @Override
    public DeserializationSchema<RowData> createRuntimeDecoder(
            DynamicTableSource.Context context, DataType physicalDataType) {
        DataType produced =
                DataTypeUtils.appendRowFields(
                        physicalDataType,
                        metadata.stream().map(m -> DataTypes.FIELD(m.key, m.type)).toList());
        return new CheckedJsonDeserializationSchema(
                (RowType) physicalDataType.getLogicalType(),
                required,
                maxBytes,
                metadata,
                context.createTypeInformation(produced));
    }

    @Override
    public Map<String, DataType> listReadableMetadata() {
        Map<String, DataType> types = new LinkedHashMap<>();
        for (Metadata each : Metadata.values()) {
            types.put(each.key, each.type);
        }
        return types;
    }

    @Override
    public void applyReadableMetadata(List<String> keys) {
        metadata = keys.stream().map(Metadata::of).toList();
    }

    @Override
    public ChangelogMode getChangelogMode() {
        return ChangelogMode.insertOnly();
    }

    /** What a record tells beside its columns; a table declares it as {@code METADATA FROM 'value.<key>'}. */
    enum Metadata {
        /** The kind of error, a word from {@link RecordError}; null for a good record. */
        ERROR("error", DataTypes.STRING()),
        /** The error as a sentence that names the field; null for a good record. */
        ERROR_DETAIL("error-detail", DataTypes.STRING()),
        /** Paths of optional fields that were of another type and are therefore null; null where there are none. */
        ODD_FIELDS("odd-fields", DataTypes.ARRAY(DataTypes.STRING())),
        /** The record's bytes as they came. */
        RAW("raw", DataTypes.BYTES());

        final String key;
        final DataType type;

        Metadata(String key, DataType type) {
            this.key = key;
            this.type = type;
        }

        static Metadata of(String key) {
            for (Metadata each : values()) {
                if (each.key.equals(key)) {
                    return each;
                }
            }
            throw new IllegalArgumentException("checked-json has no metadata '" + key + "'.");
        }
    }
}
