package org.crowdpulse.flink.elasticsearch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.table.api.TableEnvironment;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Users and certificates, on a server that asks for them. API keys it cannot make, since this distribution lacks the
 * index they are kept in.
 */
class SecurityIT {

    private static final String PASSWORD = ElasticsearchServer.SECURE_PASSWORD;

    @TempDir
    static Path directory;

    private static Certificate certificate;
    private static ElasticsearchServer server;

    @BeforeAll
    static void start() throws Exception {
        certificate = Certificate.make(directory, "localhost");
        server = new ElasticsearchServer(Path.of(System.getProperty("elasticsearch.8.home")), 17);
        server.secure(certificate);
        server.start();
    }

    @AfterAll
    static void stop() {
        server.close();
    }

    private static void write(String index, String host, String password, String... trust) throws Exception {
        List<String> options = new ArrayList<>();
        options.addAll(List.of("username", ElasticsearchServer.SECURE_USER, "password", password));
        options.addAll(List.of(trust));
        TableEnvironment tables = Jobs.tables();
        tables.executeSql(Jobs.table(index, "n INT", host, options.toArray(String[]::new)));
        Jobs.insert(tables, "INSERT INTO `" + index + "` VALUES (1), (2)");
    }

    @Test
    void theAuthorityOfAFile() throws Exception {
        write("authority", server.url(), PASSWORD, "ssl.ca", certificate.pem().toString());
        assertThat(server.count("authority")).isEqualTo(2);
    }

    @Test
    void theFingerprintOfAnAuthority() throws Exception {
        write("fingerprint", server.url(), PASSWORD,
                "ssl.certificate-fingerprint", certificate.authorityFingerprint());
        assertThat(server.count("fingerprint")).isEqualTo(2);
    }

    /** The certificate is for localhost, the address is not: it is the certificate itself that is known. */
    @Test
    void theFingerprintOfTheServerItself() throws Exception {
        write("pinned", server.url("127.0.0.1"), PASSWORD,
                "ssl.certificate-fingerprint", certificate.serverFingerprint());
        assertThat(server.count("pinned")).isEqualTo(2);
    }

    @Test
    void aServerOfAnotherNameIsNotTrustedForItsAuthority() {
        for (String[] trust : new String[][] {
            {"ssl.ca", certificate.pem().toString()},
            {"ssl.certificate-fingerprint", certificate.authorityFingerprint()}
        }) {
            assertThatThrownBy(() -> write("never", server.url("127.0.0.1"), PASSWORD, trust))
                    .hasStackTraceContaining("The certificate of the server is not trusted");
        }
    }

    @Test
    void aServerOfAnUnknownAuthorityIsNotTrusted(@TempDir Path other) throws Exception {
        Certificate stranger = Certificate.make(other, "localhost");
        for (String[] trust : new String[][] {
            {},
            {"ssl.ca", stranger.pem().toString()},
            {"ssl.certificate-fingerprint", stranger.authorityFingerprint()}
        }) {
            assertThatThrownBy(() -> write("never", server.url(), PASSWORD, trust))
                    .hasStackTraceContaining("The certificate of the server is not trusted");
        }
    }

    @Test
    void aWrongPasswordEndsTheJob() {
        assertThatThrownBy(() -> write("never", server.url(), "wrong", "ssl.ca", certificate.pem().toString()))
                .hasStackTraceContaining("Elasticsearch cannot be written to")
                .hasStackTraceContaining("401");
    }
}
