package org.crowdpulse.flink.elasticsearch;

import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.API_KEY;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.COMPRESSION;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.CONNECT_TIMEOUT;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.FAILURE_HANDLER;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.HOSTS;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.INDEX;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.INTERVAL;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.KEY_DELIMITER;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.MAX_ACTIONS;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.MAX_BUFFERED;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.MAX_IN_FLIGHT;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.MAX_SIZE;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.MISSING_TIMEOUT;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.PASSWORD;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.PATH_PREFIX;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.REQUEST_TIMEOUT;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.RETRY_INITIAL_DELAY;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.RETRY_MAX_ATTEMPTS;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.RETRY_MAX_DELAY;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.SOCKET_TIMEOUT;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.SSL_CA;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.SSL_FINGERPRINT;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.USERNAME;
import static org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.WRITE_MODE;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.CertificateException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.factories.DynamicTableSinkFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.logical.RowType;
import org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.Compression;
import org.crowdpulse.flink.elasticsearch.ElasticsearchOptions.WriteMode;

/** Makes the sink of a table with {@code 'connector' = 'elasticsearch'}; wrong options are refused with a sentence. */
public final class ElasticsearchTableFactory implements DynamicTableSinkFactory {

    @Override
    public String factoryIdentifier() {
        return "elasticsearch";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(HOSTS, INDEX);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of(
                KEY_DELIMITER, WRITE_MODE, MISSING_TIMEOUT, USERNAME, PASSWORD, API_KEY, SSL_FINGERPRINT, SSL_CA,
                PATH_PREFIX, CONNECT_TIMEOUT, REQUEST_TIMEOUT, SOCKET_TIMEOUT, MAX_ACTIONS, MAX_SIZE, INTERVAL,
                COMPRESSION, MAX_IN_FLIGHT, MAX_BUFFERED, RETRY_MAX_ATTEMPTS, RETRY_INITIAL_DELAY, RETRY_MAX_DELAY,
                FAILURE_HANDLER, FactoryUtil.SINK_PARALLELISM);
    }

    @Override
    public DynamicTableSink createDynamicTableSink(Context context) {
        FactoryUtil.TableFactoryHelper helper = FactoryUtil.createTableFactoryHelper(this, context);
        helper.validate();
        ReadableConfig options = helper.getOptions();
        RowType rowType = (RowType) context.getPhysicalRowDataType().getLogicalType();
        int[] keyColumns = context.getPrimaryKeyIndexes();
        SinkConfig config = config(options);
        WriteMode mode = options.get(WRITE_MODE);
        check(mode == WriteMode.INDEX || keyColumns.length > 0, "'" + WRITE_MODE.key() + "' = '"
                + mode.name().toLowerCase(Locale.ROOT) + "' needs a PRIMARY KEY (…) NOT ENFORCED: its columns say which"
                + " document a row changes.");
        check(mode == WriteMode.UPDATE || options.getOptional(MISSING_TIMEOUT).isEmpty(),
                "'" + MISSING_TIMEOUT.key() + "' is for '" + WRITE_MODE.key() + "' = 'update' alone.");
        for (int column : keyColumns) {
            JsonTypes.text(rowType.getTypeAt(column));
        }
        JsonTypes.row(rowType);
        new IndexName(options.get(INDEX), rowType);
        return new ElasticsearchTableSink(
                config,
                rowType,
                keyColumns,
                options.get(KEY_DELIMITER),
                options.get(INDEX),
                mode.operation,
                options.getOptional(FactoryUtil.SINK_PARALLELISM).orElse(null));
    }

    private static SinkConfig config(ReadableConfig options) {
        List<String> hosts = hosts(options);
        byte[] fingerprint = fingerprint(options);
        byte[] authorities = authorities(options);
        check(fingerprint == null || authorities == null, "Set either 'ssl.ca' or 'ssl.certificate-fingerprint'.");
        check(fingerprint == null && authorities == null || hosts.get(0).startsWith("https:"),
                "'ssl.ca' and 'ssl.certificate-fingerprint' need hosts that begin with https://.");

        int maxActions = atLeast(1, options, MAX_ACTIONS);
        int maxBuffered = options.get(MAX_BUFFERED);
        check(maxBuffered > maxActions, "'" + MAX_BUFFERED.key() + "' (" + maxBuffered + ") must be greater than '"
                + MAX_ACTIONS.key() + "' (" + maxActions + ").");
        long maxSize = options.get(MAX_SIZE).getBytes();
        check(maxSize >= 1024 && maxSize <= 100 << 20,
                "'" + MAX_SIZE.key() + "' must be between 1kb and 100mb, the most that Elasticsearch takes.");
        int maxAttempts = options.get(RETRY_MAX_ATTEMPTS);
        check(maxAttempts >= -1, "'" + RETRY_MAX_ATTEMPTS.key() + "' must be -1 (for ever), 0 or more.");
        long initialDelay = millis(options, RETRY_INITIAL_DELAY);
        long maxDelay = millis(options, RETRY_MAX_DELAY);
        check(initialDelay <= maxDelay,
                "'" + RETRY_INITIAL_DELAY.key() + "' must not exceed '" + RETRY_MAX_DELAY.key() + "'.");
        return new SinkConfig(
                hosts,
                authorization(options),
                fingerprint,
                authorities,
                text(options, PATH_PREFIX).filter(path -> !path.equals("/")).orElse(null),
                (int) millis(options, CONNECT_TIMEOUT),
                (int) millis(options, REQUEST_TIMEOUT),
                (int) millis(options, SOCKET_TIMEOUT),
                maxActions,
                (int) maxSize,
                millis(options, INTERVAL),
                options.get(COMPRESSION) == Compression.GZIP,
                atLeast(1, options, MAX_IN_FLIGHT),
                maxBuffered,
                maxAttempts,
                initialDelay,
                maxDelay,
                millis(options, MISSING_TIMEOUT),
                FailureHandler.parse(options.get(FAILURE_HANDLER)));
    }

    private static List<String> hosts(ReadableConfig options) {
        List<String> hosts = new ArrayList<>();
        for (String host : options.get(HOSTS)) {
            if (host.isBlank()) {
                continue;
            }
            URI uri;
            try {
                uri = new URI(host.trim());
            } catch (URISyntaxException e) {
                throw wrongHost(host);
            }
            boolean web = "http".equals(uri.getScheme()) || "https".equals(uri.getScheme());
            boolean bare = uri.getPath() == null || uri.getPath().isEmpty() || uri.getPath().equals("/");
            if (!web || uri.getHost() == null || uri.getPort() < 0 || !bare || uri.getUserInfo() != null) {
                throw wrongHost(host);
            }
            hosts.add(uri.getScheme() + "://" + uri.getHost() + ":" + uri.getPort());
        }
        check(!hosts.isEmpty(), "'hosts' must name at least one node, for example http://127.0.0.1:9200.");
        check(hosts.stream().map(host -> host.startsWith("https:")).distinct().count() == 1,
                "'hosts' must be all http or all https.");
        return hosts;
    }

    private static ValidationException wrongHost(String host) {
        return new ValidationException("The host '" + host + "' in 'hosts' is wrong: write http(s)://host:port, the "
                + "path in 'connection.path-prefix', the user in 'username'.");
    }

    private static String authorization(ReadableConfig options) {
        Optional<String> user = text(options, USERNAME);
        Optional<String> password = text(options, PASSWORD);
        Optional<String> apiKey = text(options, API_KEY);
        check(user.isPresent() == password.isPresent(), "'username' and 'password' must be set together.");
        check(apiKey.isEmpty() || user.isEmpty(), "Set either 'api-key' or 'username' and 'password', not both.");
        if (apiKey.isPresent()) {
            return "ApiKey " + apiKey.get();
        }
        return user.map(name -> "Basic " + Base64.getEncoder()
                        .encodeToString((name + ":" + password.get()).getBytes(StandardCharsets.UTF_8)))
                .orElse(null);
    }

    private static byte[] fingerprint(ReadableConfig options) {
        Optional<String> value = text(options, SSL_FINGERPRINT);
        if (value.isEmpty()) {
            return null;
        }
        try {
            byte[] fingerprint = HexFormat.of().parseHex(value.get().replace(":", "").trim());
            if (fingerprint.length == 32) {
                return fingerprint;
            }
        } catch (IllegalArgumentException e) {
            // Said below.
        }
        throw new ValidationException(
                "'ssl.certificate-fingerprint' must be a SHA-256: 64 hexadecimal digits, with or without colons.");
    }

    private static byte[] authorities(ReadableConfig options) {
        Optional<String> file = text(options, SSL_CA);
        if (file.isEmpty()) {
            return null;
        }
        try {
            byte[] pem = Files.readAllBytes(Path.of(file.get()));
            Certificates.parse(pem);
            return pem;
        } catch (IOException | CertificateException e) {
            throw new ValidationException("'ssl.ca' must be a file of PEM certificates, which " + file.get()
                    + " is not: " + e, e);
        }
    }

    /** A text option; one that is empty is not set, since table declarations fill it from the environment. */
    private static Optional<String> text(ReadableConfig options, ConfigOption<String> option) {
        return options.getOptional(option).map(String::trim).filter(value -> !value.isEmpty());
    }

    private static int atLeast(int least, ReadableConfig options, ConfigOption<Integer> option) {
        int value = options.get(option);
        check(value >= least, "'" + option.key() + "' must be " + least + " or more, not " + value + ".");
        return value;
    }

    private static long millis(ReadableConfig options, ConfigOption<Duration> option) {
        long millis = options.get(option).toMillis();
        check(millis >= 1 && millis <= Integer.MAX_VALUE,
                "'" + option.key() + "' must be between 1 ms and 24 days, not " + options.get(option) + ".");
        return millis;
    }

    private static void check(boolean right, String sentence) {
        if (!right) {
            throw new ValidationException(sentence);
        }
    }
}
