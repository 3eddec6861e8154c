package org.crowdpulse.flink.elasticsearch;

import java.time.Duration;
import java.util.List;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.MemorySize;
import org.crowdpulse.flink.elasticsearch.BulkEntry.Operation;

/** The options of {@code 'connector' = 'elasticsearch'}; the README lists them with what they mean for the user. */
final class ElasticsearchOptions {

    /** How a bulk request's body is compressed. */
    enum Compression {
        NONE,
        GZIP
    }

    /** What a row does to its document. */
    enum WriteMode {
        INDEX(Operation.INDEX),
        CREATE(Operation.CREATE),
        MERGE(Operation.MERGE),
        UPDATE(Operation.UPDATE);

        final Operation operation;

        WriteMode(Operation operation) {
            this.operation = operation;
        }
    }

    static final ConfigOption<List<String>> HOSTS =
            ConfigOptions.key("hosts")
                    .stringType()
                    .asList()
                    .noDefaultValue()
                    .withDescription("Nodes to write to: http(s)://host:port, several separated by ';'.");

    static final ConfigOption<String> INDEX =
            ConfigOptions.key("index")
                    .stringType()
                    .noDefaultValue()
                    .withDescription("Index, fixed or with a column in it: 'edits-{event_time|yyyy-MM-dd}'.");

    static final ConfigOption<String> KEY_DELIMITER =
            ConfigOptions.key("document-id.key-delimiter")
                    .stringType()
                    .defaultValue("_")
                    .withDescription("Joins the PRIMARY KEY columns to the document id.");

    static final ConfigOption<WriteMode> WRITE_MODE =
            ConfigOptions.key("sink.write-mode")
                    .enumType(WriteMode.class)
                    .defaultValue(WriteMode.INDEX)
                    .withDescription("What a row does to its document: 'index' replaces it; 'create' makes it unless"
                            + " there is one; 'merge' changes the columns that are not null, and makes it if there is"
                            + " none; 'update' changes all columns of one that exists.");

    static final ConfigOption<Duration> MISSING_TIMEOUT =
            ConfigOptions.key("sink.update.missing-timeout")
                    .durationType()
                    .defaultValue(Duration.ofSeconds(30))
                    .withDescription("How long a row of 'sink.write-mode' = 'update' waits for its document.");

    static final ConfigOption<String> USERNAME =
            ConfigOptions.key("username").stringType().noDefaultValue().withDescription("User, with 'password'.");

    static final ConfigOption<String> PASSWORD =
            ConfigOptions.key("password").stringType().noDefaultValue().withDescription("Password of 'username'.");

    static final ConfigOption<String> API_KEY =
            ConfigOptions.key("api-key")
                    .stringType()
                    .noDefaultValue()
                    .withDescription("API key, what Elasticsearch calls 'encoded', instead of user and password.");

    static final ConfigOption<String> SSL_FINGERPRINT =
            ConfigOptions.key("ssl.certificate-fingerprint")
                    .stringType()
                    .noDefaultValue()
                    .withDescription("SHA-256 of the server's certificate or of its authority, in hexadecimal.");

    static final ConfigOption<String> SSL_CA =
            ConfigOptions.key("ssl.ca")
                    .stringType()
                    .noDefaultValue()
                    .withDescription("PEM file of the authorities to trust, read where the job is submitted.");

    static final ConfigOption<String> PATH_PREFIX =
            ConfigOptions.key("connection.path-prefix")
                    .stringType()
                    .noDefaultValue()
                    .withDescription("Path before every request, for a proxy.");

    static final ConfigOption<Duration> CONNECT_TIMEOUT =
            ConfigOptions.key("connection.timeout")
                    .durationType()
                    .defaultValue(Duration.ofSeconds(5))
                    .withDescription("Longest time to open a connection.");

    static final ConfigOption<Duration> REQUEST_TIMEOUT =
            ConfigOptions.key("connection.request-timeout")
                    .durationType()
                    .defaultValue(Duration.ofSeconds(90))
                    .withDescription("Longest time a bulk request may take, from asking for a connection to the whole"
                            + " answer; then it is cancelled and sent again.");

    static final ConfigOption<Duration> SOCKET_TIMEOUT =
            ConfigOptions.key("socket.timeout")
                    .durationType()
                    .defaultValue(Duration.ofSeconds(30))
                    .withDescription("Longest silence of the server within a request; then it is sent again.");

    static final ConfigOption<Integer> MAX_ACTIONS =
            ConfigOptions.key("sink.bulk-flush.max-actions")
                    .intType()
                    .defaultValue(1000)
                    .withDescription("Most documents of one bulk request.");

    static final ConfigOption<MemorySize> MAX_SIZE =
            ConfigOptions.key("sink.bulk-flush.max-size")
                    .memoryType()
                    .defaultValue(MemorySize.ofMebiBytes(2))
                    .withDescription("Most bytes of a bulk request; a larger document goes to the failure handler.");

    static final ConfigOption<Duration> INTERVAL =
            ConfigOptions.key("sink.bulk-flush.interval")
                    .durationType()
                    .defaultValue(Duration.ofSeconds(1))
                    .withDescription("Longest time a document waits for its bulk request to fill.");

    static final ConfigOption<Compression> COMPRESSION =
            ConfigOptions.key("sink.bulk-flush.compression")
                    .enumType(Compression.class)
                    .defaultValue(Compression.NONE)
                    .withDescription("'gzip' compresses bulk requests: less network for more CPU.");

    static final ConfigOption<Integer> MAX_IN_FLIGHT =
            ConfigOptions.key("sink.max-in-flight-requests")
                    .intType()
                    .defaultValue(4)
                    .withDescription("Most bulk requests under way at once, per parallel sink.");

    static final ConfigOption<Integer> MAX_BUFFERED =
            ConfigOptions.key("sink.max-buffered-requests")
                    .intType()
                    .defaultValue(10_000)
                    .withDescription("Documents that may wait before the job is held back, per parallel sink.");

    static final ConfigOption<Integer> RETRY_MAX_ATTEMPTS =
            ConfigOptions.key("sink.retry.max-attempts")
                    .intType()
                    .defaultValue(3600)
                    .withDescription("How often a document is sent again before the job fails; -1: for ever.");

    static final ConfigOption<Duration> RETRY_INITIAL_DELAY =
            ConfigOptions.key("sink.retry.initial-delay")
                    .durationType()
                    .defaultValue(Duration.ofMillis(100))
                    .withDescription("Bound of the first, random delay before sending again; it doubles each time.");

    static final ConfigOption<Duration> RETRY_MAX_DELAY =
            ConfigOptions.key("sink.retry.max-delay")
                    .durationType()
                    .defaultValue(Duration.ofSeconds(2))
                    .withDescription("Largest bound of the random delay before sending again.");

    static final ConfigOption<String> FAILURE_HANDLER =
            ConfigOptions.key("sink.failure-handler")
                    .stringType()
                    .defaultValue("fail")
                    .withDescription("What happens to a document that is refused for good: 'fail' the job, 'ignore'"
                            + " it, or 'index:<name>' to write it there with the reason.");

    private ElasticsearchOptions() {}
}
