package org.crowdpulse.flink.elasticsearch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.ValidationException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the planner accepts; the server is never asked. */
class ElasticsearchTableFactoryTest {

    private static final String HOST = "http://127.0.0.1:9200";
    private static final String KEYED = "n BIGINT, PRIMARY KEY (n) NOT ENFORCED";
    private static final String ROWS = "SELECT n FROM numbers";

    private static String plan(String columns, String hosts, String query, String... options) {
        TableEnvironment tables = Jobs.tables();
        tables.executeSql(Jobs.numbers(10, 10));
        tables.executeSql(Jobs.table("out", columns, hosts, options));
        return tables.explainSql("INSERT INTO `out` " + query);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "sink.bulk-flush.max-actions=0            | 'sink.bulk-flush.max-actions' must be 1 or more",
        "sink.max-in-flight-requests=0            | 'sink.max-in-flight-requests' must be 1 or more",
        "sink.max-buffered-requests=1000          | (1000) must be greater than 'sink.bulk-flush.max-actions' (1000)",
        "sink.bulk-flush.max-size=10b             | must be between 1kb and 100mb",
        "sink.bulk-flush.max-size=200mb           | must be between 1kb and 100mb",
        "sink.bulk-flush.interval=0 s             | 'sink.bulk-flush.interval' must be between 1 ms and 24 days",
        "sink.bulk-flush.compression=zip          | Could not parse value 'zip' for key 'sink.bulk-flush.compression'",
        "connection.timeout=0 s                   | 'connection.timeout' must be between",
        "connection.request-timeout=30 d          | 'connection.request-timeout' must be between",
        "socket.timeout=0 s                       | 'socket.timeout' must be between",
        "sink.retry.max-attempts=-2               | must be -1 (for ever), 0 or more",
        "sink.retry.initial-delay=3 s             | 'sink.retry.initial-delay' must not exceed 'sink.retry.max-delay'",
        "sink.retry.max-delay=50 ms               | 'sink.retry.initial-delay' must not exceed 'sink.retry.max-delay'",
        "sink.failure-handler=drop                | it must be 'fail', 'ignore' or 'index:<name>'",
        "sink.failure-handler=index:Refused       | the index must be a fixed name in lower case",
        "username=ann                             | 'username' and 'password' must be set together",
        "password=x                               | 'username' and 'password' must be set together",
        "username=ann;password=x;api-key=k        | Set either 'api-key' or 'username' and 'password', not both",
        "ssl.ca=/no/such/file                     | 'ssl.ca' must be a file of PEM certificates",
        "ssl.certificate-fingerprint=abc          | must be a SHA-256: 64 hexadecimal digits",
        "index=out-{nothing}                      | the table has no column nothing",
        "sink.write-mode=replace                  | Could not parse value 'replace' for key 'sink.write-mode'",
        "sink.update.missing-timeout=5 s          | is for 'sink.write-mode' = 'update' alone",
        "sink.write-mode=merge;sink.update.missing-timeout=5 s | is for 'sink.write-mode' = 'update' alone",
        "sink.write-mode=update;sink.update.missing-timeout=0 s | must be between 1 ms and 24 days",
        "sink.bulk-flush.max-action=1             | Unsupported options found for 'elasticsearch'",
    })
    void aWrongOptionIsRefusedWithASentence(String options, String sentence) {
        assertThatThrownBy(() -> plan(KEYED, HOST, ROWS, options.split("[=;]"))).hasStackTraceContaining(sentence);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "127.0.0.1:9200                           | write http(s)://host:port",
        "ftp://127.0.0.1:9200                     | write http(s)://host:port",
        "http://127.0.0.1                         | write http(s)://host:port",
        "http://127.0.0.1:9200/search             | the path in 'connection.path-prefix'",
        "http://ann:x@127.0.0.1:9200              | the user in 'username'",
        "http://a b:9200                          | write http(s)://host:port",
        ";                                        | 'hosts' must name at least one node",
        "http://a:9200;https://b:9200             | 'hosts' must be all http or all https",
    })
    void wrongHostsAreRefusedWithASentence(String hosts, String sentence) {
        assertThatThrownBy(() -> plan(KEYED, hosts, ROWS)).rootCause().hasMessageContaining(sentence);
    }

    @Test
    void certificatesAreForHttpsAlone() {
        assertThatThrownBy(() -> plan(KEYED, HOST, ROWS, "ssl.certificate-fingerprint", "ab".repeat(32))).rootCause()
                .hasMessageContaining("need hosts that begin with https://");
    }

    @Test
    void anAuthorityAndAFingerprintContradictEachOther(@TempDir Path directory) throws Exception {
        Path ca = Certificate.make(directory, "localhost").pem();
        assertThatThrownBy(() -> plan(KEYED, "https://localhost:9200", ROWS,
                        "ssl.ca", ca.toString(), "ssl.certificate-fingerprint", "ab".repeat(32))).rootCause()
                .hasMessageContaining("Set either 'ssl.ca' or 'ssl.certificate-fingerprint'");
    }

    @Test
    void aFileWithoutACertificateIsNoAuthority(@TempDir Path directory) throws Exception {
        Path file = Files.writeString(directory.resolve("ca.pem"), "");
        assertThatThrownBy(() -> plan(KEYED, "https://localhost:9200", ROWS, "ssl.ca", file.toString())).rootCause()
                .hasMessageContaining("there is no certificate in it");
    }

    @Test
    void anEmptyTextIsNotSet() {
        assertThat(plan(KEYED, HOST, ROWS, "username", "", "password", "", "api-key", "", "ssl.ca", "",
                "ssl.certificate-fingerprint", " ", "connection.path-prefix", "")).contains("Sink(table=");
    }

    @Test
    void insertsAloneNeedNoKeyAndNoConflictClause() {
        assertThat(plan("n BIGINT", HOST, ROWS)).contains("Sink(table=").doesNotContain("SinkMaterializer");
        assertThat(plan(KEYED, HOST, ROWS)).contains("Sink(table=").doesNotContain("upsertMaterialize");
    }

    @Test
    void updatesNeedAKey() {
        assertThatThrownBy(() -> plan("n BIGINT", HOST, "SELECT COUNT(*) FROM numbers"))
                .hasStackTraceContaining("the Elasticsearch table needs a PRIMARY KEY");
    }

    @ParameterizedTest
    @ValueSource(strings = {"merge", "update"})
    void whatChangesDocumentsNeedsAKey(String mode) {
        assertThat(plan(KEYED, HOST, ROWS, "sink.write-mode", mode)).contains("Sink(table=");
        assertThatThrownBy(() -> plan("n BIGINT", HOST, ROWS, "sink.write-mode", mode)).rootCause()
                .isInstanceOf(ValidationException.class)
                .hasMessageContaining("'sink.write-mode' = '" + mode + "' needs a PRIMARY KEY");
    }

    @Test
    void updatesAreUpsertsWithoutWhatARowWasBefore() {
        TableEnvironment tables = Jobs.tables();
        tables.executeSql(Jobs.numbers(10, 10));
        tables.executeSql(Jobs.table("out", "k BIGINT, c BIGINT, PRIMARY KEY (k) NOT ENFORCED", HOST));
        assertThat(tables.explainSql("INSERT INTO `out` SELECT MOD(n, 3), COUNT(*) FROM numbers GROUP BY MOD(n, 3)",
                        org.apache.flink.table.api.ExplainDetail.CHANGELOG_MODE))
                .contains("changelogMode=[I,UA]")
                .doesNotContain("UB");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "k ARRAY<INT> NOT NULL, PRIMARY KEY (k) NOT ENFORCED | SELECT ARRAY[1]",
        "k ROW<a INT> NOT NULL, PRIMARY KEY (k) NOT ENFORCED | SELECT ROW(1)",
    })
    void aKeyMustBeMadeOfScalars(String columns, String query) {
        assertThatThrownBy(() -> plan(columns, HOST, query)).rootCause()
                .hasMessageContaining("cannot be part of a document id");
    }
}
