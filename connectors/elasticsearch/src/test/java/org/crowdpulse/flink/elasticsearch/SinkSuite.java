package org.crowdpulse.flink.elasticsearch;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.table.api.TableEnvironment;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

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

    private TableEnvironment tables(String table, String columns, String... options) {
        TableEnvironment tables = Jobs.tables("pipeline.name", table);
        tables.executeSql(Jobs.table(table, columns, server.url(), options));
        return tables;
    }

    @Test
    void anUpdatedRowIsOneDocument() throws Exception {
        TableEnvironment tables = tables("totals", "name STRING, total BIGINT, PRIMARY KEY (name) NOT ENFORCED");
        Jobs.insert(tables, "INSERT INTO totals SELECT name, SUM(n) "
                + "FROM (VALUES ('a', 1), ('b', 2), ('a', 3)) t (name, n) GROUP BY name");
        assertThat(server.documents("totals").toString())
                .isEqualTo("{a={\"name\":\"a\",\"total\":4}, b={\"name\":\"b\",\"total\":2}}");
    }

    /** The count of a text moves from one group to another, and the groups that become empty are deleted. */
    @Test
    void aRetractedRowIsDeleted() throws Exception {
        TableEnvironment tables = tables("sizes",
                "size_class BIGINT, texts BIGINT, PRIMARY KEY (size_class) NOT ENFORCED",
                "sink.bulk-flush.max-actions", "1");
        Jobs.insert(tables, "INSERT INTO sizes SELECT n, COUNT(*) FROM (SELECT name, COUNT(*) AS n"
                + " FROM (VALUES ('a'), ('a'), ('a'), ('b'), ('b')) t (name) GROUP BY name) GROUP BY n");
        assertThat(server.documents("sizes").toString()).isEqualTo(
                "{2={\"size_class\":2,\"texts\":1}, 3={\"size_class\":3,\"texts\":1}}");
    }

    @Test
    void aKeyOfSeveralColumnsIsOneId() throws Exception {
        TableEnvironment tables = tables("composite",
                "wiki STRING, t TIMESTAMP_LTZ(3), n INT, PRIMARY KEY (wiki, t) NOT ENFORCED",
                "document-id.key-delimiter", "|");
        Jobs.insert(tables, "INSERT INTO composite VALUES ('de', TO_TIMESTAMP_LTZ(0, 3), 1),"
                + " ('en', TO_TIMESTAMP_LTZ(0, 3), 2), ('de', TO_TIMESTAMP_LTZ(1, 3), 3)");
        assertThat(server.documents("composite")).containsOnlyKeys(
                "de|1970-01-01T00:00:00.000Z", "en|1970-01-01T00:00:00.000Z", "de|1970-01-01T00:00:00.001Z");
    }

    @Test
    void aKeyTooLongForAnIdIsHashed() throws Exception {
        TableEnvironment tables = tables("hashed", "k STRING, n INT, PRIMARY KEY (k) NOT ENFORCED");
        Jobs.insert(tables, "INSERT INTO hashed VALUES (REPEAT('x', 600), 1), (REPEAT('y', 512), 2)");
        Jobs.insert(tables, "INSERT INTO hashed VALUES (REPEAT('x', 600), 3)");
        assertThat(server.documents("hashed").values().stream().map(source -> source.get("n").asInt()))
                .containsExactlyInAnyOrder(2, 3);
    }

    @Test
    void rowsWithoutAKeyAreAppended() throws Exception {
        TableEnvironment tables = tables("appended", "n INT");
        Jobs.insert(tables, "INSERT INTO appended VALUES (1), (1), (2)");
        assertThat(server.documents("appended").values().stream().map(source -> source.get("n").asInt()))
                .containsExactlyInAnyOrder(1, 1, 2);
    }

    @Test
    void everyTypeArrivesAndCanBeSearched() throws Exception {
        server.request("PUT", "/types", """
                {"mappings": {"dynamic": "strict", "properties": {
                 "id": {"type": "keyword"}, "c": {"type": "keyword"}, "s": {"type": "text"}, "bo": {"type": "boolean"},
                 "ti": {"type": "byte"}, "si": {"type": "short"}, "i": {"type": "integer"}, "bi": {"type": "long"},
                 "f": {"type": "float"}, "d": {"type": "double"}, "nan": {"type": "double"}, "de": {"type": "double"},
                 "da": {"type": "date"}, "tm": {"type": "date", "format": "HH:mm:ss"}, "ts": {"type": "date"},
                 "ltz": {"type": "date"}, "nanos": {"type": "date_nanos"}, "bin": {"type": "binary"},
                 "ym": {"type": "integer"}, "ds": {"type": "long"}, "a": {"type": "integer"},
                 "m": {"type": "object", "dynamic": true}, "ms": {"type": "object", "dynamic": true},
                 "place": {"type": "geo_point"}, "v": {"type": "object", "dynamic": true},
                 "nothing": {"type": "keyword"}}}}""");
        TableEnvironment tables = tables("types", "id STRING, c CHAR(2), s STRING, bo BOOLEAN, ti TINYINT, si SMALLINT,"
                + " i INT, bi BIGINT, f FLOAT, d DOUBLE, nan DOUBLE, de DECIMAL(20, 5), da DATE, tm TIME(0),"
                + " ts TIMESTAMP(3), ltz TIMESTAMP_LTZ(3), nanos TIMESTAMP_LTZ(9), bin BYTES,"
                + " ym INT, ds BIGINT, a ARRAY<INT>, m MAP<STRING, INT>, ms MULTISET<STRING>,"
                + " place ROW<lat DOUBLE, lon DOUBLE>, v VARIANT, nothing STRING, PRIMARY KEY (id) NOT ENFORCED");
        Jobs.insert(tables, "INSERT INTO types SELECT id, 'ab', 'line\none \"two\" \\ 日本 😀', TRUE,"
                + " CAST(-1 AS TINYINT), CAST(300 AS SMALLINT), 70000, 9223372036854775807, CAST(0.5 AS FLOAT), 1E300,"
                + " CAST('NaN' AS DOUBLE), CAST('123456789012345.12345' AS DECIMAL(20, 5)),"
                + " DATE '2024-02-29', TIME '13:14:15', TIMESTAMP '2024-02-29 13:14:15.678',"
                + " TO_TIMESTAMP_LTZ(1709212455678, 3),"
                + " CAST(TIMESTAMP '2024-02-29 13:14:15.678901234' AS TIMESTAMP_LTZ(9)), X'fbff00',"
                + " 14, CAST(1500 AS BIGINT), ARRAY[1, 2, NULL], MAP['x', 1], COLLECT(word), ROW(52.5, 13.4),"
                + " PARSE_JSON('{\"deep\": [1, null, 2]}'), CAST(NULL AS STRING)"
                + " FROM (VALUES ('one', 'w'), ('one', 'w')) t (id, word) GROUP BY id");
        JsonNode expected = ElasticsearchServer.JSON.readTree("""
                {"id": "one", "c": "ab", "s": "line\\none \\"two\\" \\\\ 日本 😀", "bo": true, "ti": -1, "si": 300,
                 "i": 70000, "bi": 9223372036854775807, "f": 0.5, "d": 1e300, "nan": null, "de": 123456789012345.12345,
                 "da": "2024-02-29", "tm": "13:14:15", "ts": "2024-02-29T13:14:15.678",
                 "ltz": "2024-02-29T13:14:15.678Z", "nanos": "2024-02-29T13:14:15.678901234Z", "bin": "+/8A",
                 "ym": 14, "ds": 1500, "a": [1, 2, null], "m": {"x": 1}, "ms": {"w": 2},
                 "place": {"lat": 52.5, "lon": 13.4}, "v": {"deep": [1, null, 2]}, "nothing": null}""");
        assertThat(server.documents("types").get("one")).isEqualTo(expected);
        for (String query : List.of(
                "{\"term\": {\"ltz\": \"2024-02-29T13:14:15.678Z\"}}",
                "{\"term\": {\"ts\": \"2024-02-29T13:14:15.678Z\"}}",
                "{\"term\": {\"da\": \"2024-02-29\"}}",
                "{\"term\": {\"tm\": \"13:14:15\"}}",
                "{\"term\": {\"nanos\": \"2024-02-29T13:14:15.678901234Z\"}}",
                "{\"geo_distance\": {\"distance\": \"1km\", \"place\": {\"lat\": 52.5, \"lon\": 13.4}}}")) {
            JsonNode answer = server.request("POST", "/types/_search", "{\"query\": " + query + "}");
            assertThat(answer.at("/hits/total/value").asInt()).as(query).isEqualTo(1);
        }
    }

    @Test
    void eachDayHasItsIndex() throws Exception {
        TableEnvironment tables = tables("daily", "n INT, event_time TIMESTAMP_LTZ(3), PRIMARY KEY (n) NOT ENFORCED",
                "index", "daily-{event_time|yyyy-MM-dd}");
        Jobs.insert(tables, "INSERT INTO daily VALUES (1, TO_TIMESTAMP_LTZ(1709251199999, 3)),"
                + " (2, TO_TIMESTAMP_LTZ(1709251200000, 3)), (3, TO_TIMESTAMP_LTZ(1709251200001, 3))");
        assertThat(server.documents("daily-2024-02-29")).containsOnlyKeys("1");
        assertThat(server.documents("daily-2024-03-01")).containsOnlyKeys("2", "3");
    }

    private static JsonNode json(String text) throws Exception {
        return ElasticsearchServer.JSON.readTree(text);
    }

    @Test
    void aMergeKeepsWhatItDoesNotSayAndMakesWhatIsNotThere() throws Exception {
        server.request("PUT", "/merged/_doc/1", "{\"k\": 1, \"a\": \"old\", \"b\": \"old\", \"other\": true,"
                + " \"place\": {\"lat\": 1.0, \"lon\": 2.0}}");
        TableEnvironment tables = tables("merged", "k INT, a STRING, b STRING, place ROW<lat DOUBLE, lon DOUBLE>,"
                + " PRIMARY KEY (k) NOT ENFORCED", "sink.write-mode", "merge");
        Jobs.insert(tables, "INSERT INTO merged VALUES (1, 'new', CAST(NULL AS STRING),"
                + " ROW(CAST(NULL AS DOUBLE), CAST(3 AS DOUBLE))),"
                + " (2, CAST(NULL AS STRING), 'two', CAST(NULL AS ROW<lat DOUBLE, lon DOUBLE>))");
        assertThat(server.documents("merged")).isEqualTo(Map.of(
                "1", json("{\"k\": 1, \"a\": \"new\", \"b\": \"old\", \"other\": true,"
                        + " \"place\": {\"lat\": null, \"lon\": 3.0}}"),
                "2", json("{\"k\": 2, \"b\": \"two\"}")));
    }

    @Test
    void aCreateMakesWhatIsNotThereAndLeavesWhatIs() throws Exception {
        server.request("PUT", "/created/_doc/1", "{\"k\": 1, \"a\": \"changed\", \"other\": true}");
        TableEnvironment tables = tables("created", "k INT, a STRING, PRIMARY KEY (k) NOT ENFORCED",
                "sink.write-mode", "create", "sink.bulk-flush.max-actions", "1");
        Jobs.insert(tables, "INSERT INTO created VALUES (1, 'again'), (2, CAST(NULL AS STRING)), (3, 'x')");
        Jobs.insert(tables, "INSERT INTO created VALUES (3, 'again')");
        assertThat(server.documents("created")).isEqualTo(Map.of(
                "1", json("{\"k\": 1, \"a\": \"changed\", \"other\": true}"),
                "2", json("{\"k\": 2, \"a\": null}"),
                "3", json("{\"k\": 3, \"a\": \"x\"}")));
    }

    @Test
    void anUpdateSendsNullsAndChangesOnlyWhatIsThere() throws Exception {
        server.request("PUT", "/updated/_doc/1", "{\"k\": 1, \"a\": \"old\", \"b\": \"old\", \"other\": true}");
        TableEnvironment tables = tables("updated", "k INT, a STRING, b STRING, PRIMARY KEY (k) NOT ENFORCED",
                "sink.write-mode", "update", "sink.update.missing-timeout", "500 ms");
        Jobs.insert(tables, "INSERT INTO updated VALUES (1, 'new', CAST(NULL AS STRING)), (2, 'x', 'y')");
        assertThat(server.documents("updated")).isEqualTo(
                Map.of("1", json("{\"k\": 1, \"a\": \"new\", \"b\": null, \"other\": true}")));
        JsonNode found = server.request("GET", "/updated/_count?q=_exists_:b", null);
        assertThat(found.get("count").asInt()).isZero();
        assertThat(TestReporter.value("updated", "missingDocuments")).isEqualTo(1);
    }

    /** Of 300 documents that are changed, one comes 3 s later and one never; all others are changed at once. */
    @Test
    void anUpdateWaitsForItsDocumentAndBlocksNoOther() throws Exception {
        TableEnvironment documents = tables("awaited", "n BIGINT, PRIMARY KEY (n) NOT ENFORCED");
        documents.executeSql(Jobs.numbers(300, 1_000_000));
        Jobs.insert(documents, "INSERT INTO awaited SELECT n FROM numbers WHERE n NOT IN (7, 8)");
        TableEnvironment tables = Jobs.tables("pipeline.name", "awaiting");
        tables.executeSql(Jobs.table("awaited", "n BIGINT, newest BIGINT, PRIMARY KEY (n) NOT ENFORCED", server.url(),
                "sink.write-mode", "update", "sink.update.missing-timeout", "6 s",
                "sink.bulk-flush.interval", "100 ms"));
        tables.executeSql(Jobs.numbers(600, 1_000));
        JobClient job = tables.executeSql("INSERT INTO awaited SELECT MOD(n - 1, 300) + 1, n FROM numbers")
                .getJobClient().orElseThrow();
        long start = System.currentTimeMillis();
        Jobs.await(job, () -> TestReporter.value("awaiting", "bufferedRequests") >= 2);
        Thread.sleep(Math.max(0, start + 3000 - System.currentTimeMillis()));
        Map<String, JsonNode> meanwhile = server.documents("awaited");
        assertThat(meanwhile).hasSize(298);
        assertThat(meanwhile).allSatisfy((id, document) ->
                assertThat(document.path("newest").asLong()).isEqualTo(300 + Long.parseLong(id)));
        assertThat(TestReporter.value("awaiting", "bufferedRequests")).isEqualTo(2);
        server.request("PUT", "/awaited/_doc/7", "{\"n\": 7}");
        job.getJobExecutionResult().get(60, TimeUnit.SECONDS);
        assertThat(server.documents("awaited")).hasSize(299).doesNotContainKey("8");
        assertThat(server.documents("awaited").get("7").get("newest").asLong()).isEqualTo(307);
        assertThat(TestReporter.value("awaiting", "missingDocuments")).isEqualTo(1);
        assertThat(TestReporter.value("awaiting", "rejected")).isZero();
    }

    /** Two jobs write the same ten documents, a column each, 300 times. */
    @Test
    void mergesThatRaceLoseNothing() throws Exception {
        List<JobClient> jobs = new ArrayList<>();
        for (String column : List.of("a", "b")) {
            TableEnvironment tables = Jobs.tables("pipeline.name", "race " + column);
            tables.executeSql(Jobs.table("race", "k BIGINT, " + column + " BIGINT, PRIMARY KEY (k) NOT ENFORCED",
                    server.url(), "sink.write-mode", "merge", "sink.bulk-flush.interval", "10 ms"));
            tables.executeSql(Jobs.numbers(300, 1_000_000));
            jobs.add(tables.executeSql("INSERT INTO race SELECT MOD(n, 10), n FROM numbers")
                    .getJobClient().orElseThrow());
        }
        for (JobClient job : jobs) {
            job.getJobExecutionResult().get(60, TimeUnit.SECONDS);
        }
        Map<String, JsonNode> documents = server.documents("race");
        assertThat(documents).hasSize(10);
        documents.forEach((id, document) -> {
            long newest = id.equals("0") ? 300 : 290 + Long.parseLong(id);
            assertThat(document.get("a").asLong()).isEqualTo(newest);
            assertThat(document.get("b").asLong()).isEqualTo(newest);
        });
    }

    /** As in {@link #aRetractedRowIsDeleted}. */
    @Test
    void aRetractedRowIsDeletedHoweverRowsAreWritten() throws Exception {
        String columns = "size_class BIGINT, texts BIGINT, PRIMARY KEY (size_class) NOT ENFORCED";
        for (String mode : List.of("merge", "update")) {
            String name = "sizes_" + mode;
            for (int size = 1; size <= 3; size++) {
                server.request("PUT", "/" + name + "/_doc/" + size, "{\"before\": true}");
            }
            TableEnvironment tables =
                    tables(name, columns, "sink.write-mode", mode, "sink.bulk-flush.max-actions", "1");
            Jobs.insert(tables, "INSERT INTO " + name + " SELECT n, COUNT(*) FROM (SELECT name, COUNT(*) AS n"
                    + " FROM (VALUES ('a'), ('a'), ('a')) t (name) GROUP BY name) GROUP BY n");
            assertThat(server.documents(name)).isEqualTo(
                    Map.of("3", json("{\"before\": true, \"size_class\": 3, \"texts\": 1}")));
        }
    }

    @Test
    void mergesGoToTheIndexOfTheirDay() throws Exception {
        server.request("PUT", "/merged-2024-03-01/_doc/2", "{\"kept\": true}");
        TableEnvironment tables = tables("merged_daily",
                "n INT, event_time TIMESTAMP_LTZ(3), PRIMARY KEY (n) NOT ENFORCED",
                "index", "merged-{event_time|yyyy-MM-dd}", "sink.write-mode", "merge");
        Jobs.insert(tables, "INSERT INTO merged_daily VALUES (1, TO_TIMESTAMP_LTZ(1709251199999, 3)),"
                + " (2, TO_TIMESTAMP_LTZ(1709251200000, 3))");
        assertThat(server.documents("merged-2024-02-29")).containsOnlyKeys("1");
        assertThat(server.documents("merged-2024-03-01")).isEqualTo(
                Map.of("2", json("{\"kept\": true, \"n\": 2, \"event_time\": \"2024-03-01T00:00:00.000Z\"}")));
    }

    @Test
    void aPoisonDocumentBlocksNothing() throws Exception {
        server.request("PUT", "/strict", """
                {"mappings": {"dynamic": "strict", "properties": {"n": {"type": "long"}, "day": {"type": "date"}}}}""");
        TableEnvironment tables = tables("strict", "n BIGINT, `day` STRING, PRIMARY KEY (n) NOT ENFORCED",
                "sink.failure-handler", "index:strict_refused", "sink.bulk-flush.max-actions", "100");
        tables.executeSql(Jobs.numbers(1000, 1_000_000));
        Jobs.insert(tables, "INSERT INTO strict SELECT n, IF(MOD(n, 100) = 50, 'no day', '2024-02-29') FROM numbers");
        assertThat(server.count("strict")).isEqualTo(990);
        Map<String, JsonNode> refused = server.documents("strict_refused");
        assertThat(refused).hasSize(10);
        JsonNode one = refused.values().iterator().next();
        assertThat(one.get("error_type").asText()).isEqualTo("document_parsing_exception");
        assertThat(one.get("reason").asText()).contains("[day]").contains("no day");
        assertThat(one.get("source").asText()).matches("\\{\"n\":\\d*50,\"day\":\"no day\"}");
    }

    /** Elasticsearch refuses the whole request for such an id. */
    @Test
    void anEmptyIdBlocksNothing() throws Exception {
        TableEnvironment tables = tables("empty_id", "k STRING, n BIGINT, PRIMARY KEY (k) NOT ENFORCED",
                "sink.failure-handler", "index:empty_id_refused");
        tables.executeSql(Jobs.numbers(200, 1_000_000));
        Jobs.insert(tables,
                "INSERT INTO empty_id SELECT IF(n = 70, '', CAST(n AS STRING)), n FROM numbers");
        assertThat(server.count("empty_id")).isEqualTo(199);
        JsonNode refused = server.documents("empty_id_refused").values().iterator().next();
        assertThat(refused.get("source").asText()).isEqualTo("{\"k\":\"\",\"n\":70}");
        assertThat(refused.get("status").asInt()).isEqualTo(400);
    }

    /**
     * The node is killed in the middle of 50,000 rows, and of 50,000 updates of 2,000 rows, and started again after 30
     * seconds. The jobs may not be restarted, so any failure would end them.
     */
    @Test
    void anOutageIsWaitedOut() throws Exception {
        TableEnvironment rows = tables("rows", "n BIGINT, text STRING, PRIMARY KEY (n) NOT ENFORCED");
        rows.executeSql(Jobs.numbers(50_000, 2500));
        TableEnvironment updates = tables("updates", "k BIGINT, newest BIGINT, PRIMARY KEY (k) NOT ENFORCED",
                "sink.bulk-flush.max-actions", "200");
        updates.executeSql(Jobs.numbers(50_000, 2500));
        JobClient rowsJob = rows.executeSql("INSERT INTO `rows` SELECT n, REPEAT('text ', 100) FROM numbers")
                .getJobClient().orElseThrow();
        JobClient updatesJob = updates.executeSql("INSERT INTO updates SELECT MOD(n * 7919, 2000), MAX(n) FROM numbers"
                + " GROUP BY MOD(n * 7919, 2000)").getJobClient().orElseThrow();
        Jobs.await(rowsJob, () -> TestReporter.value("rows", "numRecordsSend") >= 15_000);
        server.kill();
        Thread.sleep(30_000);
        assertThat(rowsJob.getJobStatus().get()).isEqualTo(JobStatus.RUNNING);
        assertThat(TestReporter.value("rows", "bufferedRequests")).isBetween(9_000L, 14_000L);
        long sentBefore = TestReporter.value("rows", "numRecordsSend");
        server.start();
        while (TestReporter.value("rows", "numRecordsSend") == sentBefore) {
            Thread.sleep(20);
            assertThat(System.currentTimeMillis() - server.upSince()).as("resumed within 5 s").isLessThan(5000);
        }
        rowsJob.getJobExecutionResult().get(60, TimeUnit.SECONDS);
        updatesJob.getJobExecutionResult().get(60, TimeUnit.SECONDS);
        assertThat(server.count("rows")).isEqualTo(50_000);
        Map<String, Long> expected = new HashMap<>();
        for (long n = 1; n <= 50_000; n++) {
            expected.put(String.valueOf(n * 7919 % 2000), n);
        }
        Map<String, Long> written = server.documents("updates").entrySet().stream()
                .collect(Collectors.toMap(Map.Entry::getKey, entry -> entry.getValue().get("newest").asLong()));
        assertThat(written).as("the last write of each document").isEqualTo(expected);
        assertThat(TestReporter.value("rows", "retries")).isPositive();
    }

    /** What was buffered while no server was there is in the savepoint; the sink's classes come by pipeline.jars. */
    @Test
    void aSavepointIsRestoredWithTheJarFromPipelineJars(@TempDir Path directory) throws Exception {
        int unused;
        try (ServerSocket socket = new ServerSocket(0)) {
            unused = socket.getLocalPort();
        }
        List<String> output =
                pipelineJarsJob(directory, "http://127.0.0.1:" + unused, "save", directory.resolve("savepoints"));
        String savepoint = output.get(output.size() - 1);
        assertThat(savepoint).contains("savepoint-");
        assertThat(server.count("restored")).isZero();
        pipelineJarsJob(directory, server.url(), "restore", Path.of(java.net.URI.create(savepoint)));
        assertThat(server.count("restored")).isEqualTo(1000);
    }

    private static List<String> pipelineJarsJob(Path directory, String hosts, String action, Path path)
            throws Exception {
        String classPath = Stream.of(System.getProperty("java.class.path").split(File.pathSeparator))
                .filter(entry -> !entry.endsWith("/classes") && !entry.contains("crowdpulse-elasticsearch-sink"))
                .collect(Collectors.joining(File.pathSeparator));
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("-Xmx1g");
        for (String module : List.of("java.util", "java.lang", "java.time", "java.net")) {
            command.add("--add-opens=java.base/" + module + "=ALL-UNNAMED");
        }
        command.addAll(List.of("-cp", classPath, PipelineJarsJob.class.getName(), System.getProperty("sink.jar"), hosts,
                "restored", action, path.toString()));
        Path output = directory.resolve("output");
        Process process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(output.toFile()).start();
        try {
            assertThat(process.waitFor(120, TimeUnit.SECONDS)).isTrue();
            assertThat(process.exitValue()).as(() -> String.join("\n", read(output))).isZero();
            return read(output);
        } finally {
            process.destroyForcibly();
        }
    }

    private static List<String> read(Path file) {
        try {
            return Files.readAllLines(file);
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }
}
