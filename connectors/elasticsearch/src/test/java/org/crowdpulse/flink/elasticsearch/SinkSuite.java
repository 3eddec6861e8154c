package org.crowdpulse.flink.elasticsearch;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.apache.flink.table.api.TableEnvironment;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/** What the sink must do on a real server, whatever its version. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class SinkSuite {

    private final ElasticsearchServer server;

    SinkSuite(String homeProperty, int javaVersion) throws Exception {
        Assumptions.assumeTrue(
                ElasticsearchServer.javaHome(javaVersion).isPresent(),
                "There is no Java " + javaVersion + " in JAVA_HOME or /usr/lib/jvm for this Elasticsearch.");
        server = new ElasticsearchServer(Path.of(System.getProperty(homeProperty)), javaVersion);
        server.start();
    }

    @AfterAll
    void stop() {
        server.close();
    }

    @Test
    void anUpdatedRowIsOneDocument() throws Exception {
        TableEnvironment tables = Jobs.tables();
        tables.executeSql(
                Jobs.table("totals", "name STRING, total BIGINT, PRIMARY KEY (name) NOT ENFORCED", server.url()));
        Jobs.insert(tables, "INSERT INTO totals SELECT name, SUM(n) "
                + "FROM (VALUES ('a', 1), ('b', 2), ('a', 3)) t (name, n) GROUP BY name");
        assertThat(server.documents("totals").toString())
                .isEqualTo("{a={\"name\":\"a\",\"total\":4}, b={\"name\":\"b\",\"total\":2}}");
    }
}
