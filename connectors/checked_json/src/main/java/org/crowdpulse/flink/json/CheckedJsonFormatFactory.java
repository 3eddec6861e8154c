package org.crowdpulse.flink.json;

import java.util.Set;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.formats.json.JsonFormatFactory;
import org.apache.flink.formats.json.JsonFormatOptions;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.format.EncodingFormat;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.factories.SerializationFormatFactory;
import org.apache.flink.table.types.logical.RowType;

/**
 * The {@code checked-json} format: JSON that never fails a job and never drops a record.
 *
 * <p>Each record gives exactly one row: its columns, or nulls with the reason in the metadata column {@code
 * value.error} and the bytes as they came in {@code value.raw}. Writing is Flink's own {@code json}, times in ISO-8601.
 */
public final class CheckedJsonFormatFactory
        implements DeserializationFormatFactory, SerializationFormatFactory {

    static final String IDENTIFIER = "checked-json";

    @Override
    public DecodingFormat<DeserializationSchema<RowData>> createDecodingFormat(
            DynamicTableFactory.Context context, ReadableConfig options) {
        FactoryUtil.validateFactoryOptions(this, options);
        RowType columns = (RowType) context.getPhysicalRowDataType().getLogicalType();
        for (RowType.RowField column : columns.getFields()) {
            if (!column.getType().isNullable()) {
                throw new ValidationException(
                        ("Column '%s' is NOT NULL, but the columns of an error row are null: declare it nullable and"
                                        + " name it in 'checked-json.required'.")
                                .formatted(column.getName()));
            }
        }
        return new CheckedJsonDecodingFormat(
                options.get(CheckedJsonOptions.REQUIRED),
                options.get(CheckedJsonOptions.MAX_SIZE).getBytes());
    }

    @Override
    public EncodingFormat<SerializationSchema<RowData>> createEncodingFormat(
            DynamicTableFactory.Context context, ReadableConfig options) {
        FactoryUtil.validateFactoryOptions(this, options);
        Configuration json = new Configuration();
        json.set(JsonFormatOptions.TIMESTAMP_FORMAT, "ISO-8601");
        return new JsonFormatFactory().createEncodingFormat(context, json);
    }

    @Override
    public String factoryIdentifier() {
        return IDENTIFIER;
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of();
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of(CheckedJsonOptions.REQUIRED, CheckedJsonOptions.MAX_SIZE);
    }
}
