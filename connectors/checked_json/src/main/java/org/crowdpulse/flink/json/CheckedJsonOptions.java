package org.crowdpulse.flink.json;

import java.util.List;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.MemorySize;

/** Options of the {@code checked-json} format. */
final class CheckedJsonOptions {

    static final ConfigOption<List<String>> REQUIRED =
            ConfigOptions.key("required")
                    .stringType()
                    .asList()
                    .defaultValues()
                    .withDescription(
                            "Paths of the fields that a record must have, for example 'type;meta.id;meta.dt'. A record"
                                    + " in which one is missing, null or of another type becomes an error row.");

    static final ConfigOption<MemorySize> MAX_SIZE =
            ConfigOptions.key("max-size")
                    .memoryType()
                    .defaultValue(MemorySize.ofMebiBytes(1))
                    .withDescription("A longer record becomes an error row and is not parsed.");

    private CheckedJsonOptions() {}
}
