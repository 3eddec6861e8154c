package org.crowdpulse.flink.elasticsearch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.table.api.ExplainDetail;
import org.apache.flink.table.api.TableEnvironment;
import org.crowdpulse.flink.elasticsearch.ScriptedServer.Item;
import org.crowdpulse.flink.elasticsearch.ScriptedServer.Received;
import org.crowdpulse.flink.elasticsearch.ScriptedServer.Refused;
import org.crowdpulse.flink.elasticsearch.ScriptedServer.Reply;
import org.crowdpulse.flink.elasticsearch.ScriptedServer.Script;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The sink in a Flink job, against a server that fails as the case needs it. */
@Timeout(value = 90, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class BulkWriterTest {

    private static final String KEYED = "n BIGINT, PRIMARY KEY (n) NOT ENFORCED";
    private static final Refused BUSY = new Refused(429, "es_rejected_execution_exception");
    private static final Refused MAPPING = new Refused(400, "document_parsing_exception");

    /** Writes the numbers from 1 to {@code count}, each a document with its number as id. */
    private static void write(ScriptedServer server, int count, String... options) throws Exception {
        write(server.url(), KEYED, count, options);
    }

    private static void write(String hosts, String columns, int count, String... options) throws Exception {
        TableEnvironment tables = Jobs.tables();
        tables.executeSql(Jobs.numbers(count, 1_000_000));
        tables.executeSql(Jobs.table("out", columns, hosts, options));
        Jobs.insert(tables, "INSERT INTO `out` SELECT n FROM numbers");
    }

    private static List<Integer> sizes(ScriptedServer server) {
        return server.received.stream().map(request -> request.items().size()).toList();
    }

    // Retries

    @Test
    void anItemThatIsTurnedAwayIsSentAgainAndTheOthersAreNot() throws Exception {
        AtomicInteger times = new AtomicInteger();
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.refusing(
                item -> item.id().equals("3") && times.getAndIncrement() < 2 ? BUSY : null))) {
            write(server, 5);
            assertThat(server.documents("out")).hasSize(5);
            assertThat(sizes(server)).containsExactly(5, 1, 1);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 408, 429, 500, 502, 503, 504})
    void aRequestThatIsNotExecutedIsSentAgain(int status) throws Exception {
        try (ScriptedServer server =
                new ScriptedServer(ScriptedServer.firstThenAccept(3, ScriptedServer.status(status)))) {
            write(server, 10);
            assertThat(server.documents("out")).hasSize(10);
            assertThat(sizes(server)).containsExactly(10, 10, 10, 10);
        }
    }

    @Test
    void aDocumentThatAlwaysGivesAServerErrorIsRefusedAfterTenTimes() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.refusing(
                item -> item.id().equals("3") ? new Refused(500, "null_pointer_exception") : null))) {
            write(server, 5, "sink.failure-handler", "ignore", "sink.retry.max-delay", "100 ms");
            assertThat(server.documents("out")).hasSize(4);
            assertThat(server.received).hasSize(11);
        }
    }

    /** A recovering shard answers so; only errors of the document itself count against it. */
    @Test
    void aServerErrorAfterAnOutageIsNotTheLastOfTen() throws Exception {
        try (ScriptedServer server = new ScriptedServer(request -> switch (request.number()) {
            case 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 -> new Reply(503, null);
            case 12 -> new Reply(200, item -> item.id().equals("3") ? new Refused(500, "shard_failed") : null);
            default -> ScriptedServer.ACCEPT.reply(request);
        })) {
            write(server, 5, "sink.retry.initial-delay", "1 ms", "sink.retry.max-delay", "5 ms");
            assertThat(server.documents("out")).hasSize(5);
            assertThat(sizes(server)).hasSize(14).endsWith(5, 1);
        }
    }

    @Test
    void attemptsEndWithTheSentenceThatSaysWhy() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.status(503))) {
            assertThatThrownBy(() -> write(server, 1, "sink.retry.max-attempts", "3", "sink.retry.max-delay", "100 ms"))
                    .rootCause()
                    .hasMessageContaining("did not take the document index out/1 in 3 further attempts")
                    .hasMessageContaining("503")
                    .hasMessageContaining("sink.retry.max-attempts");
            assertThat(server.received).hasSize(4);
        }
    }

    @Test
    void minusOneAttemptsAreAttemptsForEver() throws Exception {
        try (ScriptedServer server =
                new ScriptedServer(ScriptedServer.firstThenAccept(50, ScriptedServer.status(503)))) {
            write(server, 1, "sink.retry.max-attempts", "-1", "sink.retry.max-delay", "100 ms");
            assertThat(server.received).hasSize(51);
        }
    }

    @Test
    void delaysGrowFromTheFirstToTheLargest() throws Exception {
        try (ScriptedServer server =
                new ScriptedServer(ScriptedServer.firstThenAccept(12, ScriptedServer.status(503)))) {
            write(server, 1, "sink.retry.initial-delay", "1 ms", "sink.retry.max-delay", "500 ms");
            List<Long> gaps = gaps(server.received);
            assertThat(gaps.subList(0, 4)).allMatch(gap -> gap < 100);
            assertThat(gaps).allMatch(gap -> gap < 700);
            // Four random delays of up to half a second: all below 60 ms happens once in 5,000 runs.
            assertThat(gaps.subList(8, 12)).anyMatch(gap -> gap > 60);
        }
    }

    private static List<Long> gaps(List<Received> requests) {
        List<Long> gaps = new ArrayList<>();
        for (int i = 1; i < requests.size(); i++) {
            gaps.add(requests.get(i).millis() - requests.get(i - 1).millis());
        }
        return gaps;
    }

    @Test
    void whileTheServerFailsOneRequestAtATimeTries() throws Exception {
        AtomicInteger failing = new AtomicInteger();
        AtomicInteger mostFailing = new AtomicInteger();
        try (ScriptedServer server = new ScriptedServer(request -> {
            if (request.number() < 4 || request.number() > 10) {
                return new Reply(request.number() < 4 ? 503 : 200, item -> null);
            }
            mostFailing.accumulateAndGet(failing.incrementAndGet(), Math::max);
            Thread.sleep(50);
            failing.decrementAndGet();
            return new Reply(503, null);
        })) {
            write(server, 100, "sink.bulk-flush.max-actions", "10", "sink.retry.max-delay", "100 ms");
            assertThat(server.documents("out")).hasSize(100);
            assertThat(mostFailing).hasValue(1);
        }
    }

    @Test
    void wrongCredentialsEndTheJobAtOnce() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.status(401))) {
            assertThatThrownBy(() -> write(server, 1)).rootCause().hasMessageContaining("Correct the user");
            assertThat(server.received).hasSize(1);
        }
    }

    @Test
    void credentialsThatWorkedBeforeAreTriedAgain() throws Exception {
        try (ScriptedServer server = new ScriptedServer(
                request -> request.number() == 1 ? new Reply(401, null) : ScriptedServer.ACCEPT.reply(request))) {
            write(server, 20, "sink.bulk-flush.max-actions", "10", "sink.max-in-flight-requests", "1");
            assertThat(sizes(server)).containsExactly(10, 10, 10);
        }
    }

    @Test
    void aRequestTooLargeIsHalvedUntilItIsTaken() throws Exception {
        try (ScriptedServer server = new ScriptedServer(
                request -> request.items().size() > 20 ? new Reply(413, null) : ScriptedServer.ACCEPT.reply(request))) {
            write(server, 200, "sink.max-in-flight-requests", "1");
            assertThat(server.documents("out")).hasSize(200);
        }
    }

    @Test
    void aRequestThatIsRefusedAsAWholeIsTakenApart() throws Exception {
        try (ScriptedServer server = new ScriptedServer(request ->
                request.items().stream().anyMatch(item -> item.id().equals("37"))
                        ? new Reply(400, null)
                        : ScriptedServer.ACCEPT.reply(request))) {
            write(server, 100, "sink.failure-handler", "ignore");
            assertThat(server.documents("out")).hasSize(99).doesNotContainKey("37");
        }
    }

    /** The limit is of the documents, which compression makes ten times smaller here. */
    @Test
    void aCompressedRequestTooLargeIsHalvedOnce() throws Exception {
        try (ScriptedServer server =
                new ScriptedServer(ScriptedServer.firstThenAccept(1, ScriptedServer.status(413)))) {
            write(server, 4000, "sink.bulk-flush.compression", "gzip", "sink.max-in-flight-requests", "1");
            assertThat(server.documents("out")).hasSize(4000);
            assertThat(sizes(server)).startsWith(1000).hasSizeLessThan(15);
        }
    }

    /** Of two nodes, each with as many connections as there may be requests. */
    @Test
    void thePartsOfARefusedRequestKeepToTheLimitOfRequests() throws Exception {
        AtomicInteger underWay = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        Script script = request -> {
            most.accumulateAndGet(underWay.incrementAndGet(), Math::max);
            Thread.sleep(20);
            underWay.decrementAndGet();
            return request.items().stream().anyMatch(item -> item.id().endsWith("37"))
                    ? new Reply(400, null)
                    : ScriptedServer.ACCEPT.reply(request);
        };
        try (ScriptedServer one = new ScriptedServer(script); ScriptedServer two = new ScriptedServer(script)) {
            write(one.url() + ";" + two.url(), KEYED, 400, "sink.failure-handler", "ignore",
                    "sink.bulk-flush.max-actions", "100", "sink.max-in-flight-requests", "2");
            TreeSet<String> written = new TreeSet<>(one.documents("out").keySet());
            written.addAll(two.documents("out").keySet());
            assertThat(written).hasSize(396).doesNotContain("37", "137", "237", "337");
            assertThat(most).hasValue(2);
        }
    }

    /** One request is turned away, which begins a pause of minutes; then the other is refused as a whole. */
    @Test
    void thePartsOfARefusedRequestWaitOutThePauseAndAreInASavepoint(@TempDir Path savepoints) throws Exception {
        try (ScriptedServer server = new ScriptedServer(request -> {
            Thread.sleep(request.items().get(0).id().equals("1") ? 0 : 500);
            return new Reply(request.items().get(0).id().equals("1") ? 503 : 400, null);
        })) {
            String[] ddl = {Jobs.numbers(200, 100), Jobs.table("out", KEYED, server.url(),
                    "sink.bulk-flush.max-actions", "50", "sink.max-in-flight-requests", "2",
                    "sink.retry.initial-delay", "1 h", "sink.retry.max-delay", "1 h")};
            String metrics = "parts";
            TableEnvironment before = Jobs.tables("pipeline.name", metrics);
            before.executeSql(ddl[0]);
            before.executeSql(ddl[1]);
            JobClient job = before.executeSql("INSERT INTO `out` SELECT n FROM numbers").getJobClient().orElseThrow();
            Jobs.await(job, () -> TestReporter.value(metrics, "bufferedRequests") >= 100
                    && TestReporter.value(metrics, "inFlightRequests") == 0);
            String savepoint = job.triggerSavepoint(savepoints.toString(), SavepointFormatType.CANONICAL).get();
            job.cancel().get();
            assertThat(sizes(server)).containsExactly(50, 50);

            server.setScript(ScriptedServer.ACCEPT);
            TableEnvironment after = Jobs.tables("execution.state-recovery.path", savepoint);
            after.executeSql(ddl[0]);
            after.executeSql(ddl[1]);
            Jobs.insert(after, "INSERT INTO `out` SELECT n FROM numbers");
            assertThat(server.documents("out")).hasSize(200);
        }
    }

    // The last write wins

    /**
     * 20,000 updates of 120 rows in requests of 10, eight at a time, of which the server turns items away, fails as a
     * whole, cuts connections after it has executed, and answers in any order.
     */
    @Test
    void theLastWriteOfADocumentWinsUnderRetries() throws Exception {
        Random random = new Random(7);
        Map<String, Integer> underWay = new ConcurrentHashMap<>();
        List<String> twice = new ArrayList<>();
        try (ScriptedServer server = new ScriptedServer(request -> {
            int fate;
            synchronized (random) {
                fate = random.nextInt(100);
            }
            for (Item item : request.items()) {
                if (underWay.merge(item.id(), 1, Integer::sum) > 1) {
                    twice.add(item.id());
                }
            }
            Thread.sleep(fate % 10);
            request.items().forEach(item -> underWay.merge(item.id(), -1, Integer::sum));
            if (fate < 5) {
                return new Reply(503, null);
            }
            return new Reply(200, item -> fate < 30 && item.id().hashCode() % 3 == fate % 3 ? BUSY : null);
        })) {
            TableEnvironment tables = Jobs.tables();
            tables.executeSql(Jobs.numbers(20_000, 1_000_000));
            tables.executeSql(Jobs.table("out", "k BIGINT, newest BIGINT, PRIMARY KEY (k) NOT ENFORCED", server.url(),
                    "sink.bulk-flush.max-actions", "10", "sink.max-in-flight-requests", "8",
                    "sink.max-buffered-requests", "100", "sink.retry.initial-delay", "1 ms",
                    "sink.retry.max-delay", "5 ms"));
            Jobs.insert(tables, "INSERT INTO `out` SELECT MOD(n * 7919, 120), MAX(n) FROM numbers"
                    + " GROUP BY MOD(n * 7919, 120)");
            Map<String, Long> expected = new HashMap<>();
            for (long n = 1; n <= 20_000; n++) {
                expected.put(String.valueOf(n * 7919 % 120), n);
            }
            Map<String, Long> written = new HashMap<>();
            server.documents("out").forEach((id, source) -> written.put(id, source.get("newest").asLong()));
            assertThat(written).isEqualTo(expected);
            assertThat(twice).isEmpty();
            assertThat(server.mostUnderWay.get()).isGreaterThan(1);
        }
    }

    @Test
    void aGeneratedIdIsKeptWhenTheOutcomeIsUnknown() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            server.setScript(request -> {
                if (request.number() > 0) {
                    return ScriptedServer.ACCEPT.reply(request);
                }
                return new Reply(0, null);
            });
            write(server.url(), "n BIGINT", 50);
            assertThat(sizes(server)).containsExactly(50, 50);
            assertThat(ids(server.received.get(0))).isEqualTo(ids(server.received.get(1))).doesNotHaveDuplicates();
        }
    }

    private static List<String> ids(Received request) {
        return request.items().stream().map(Item::id).toList();
    }

    // Merges and updates

    private static final Refused CONFLICT = new Refused(409, "version_conflict_engine_exception");

    /** 2,000 merges of 50 documents, of which some are turned away, some conflict, and some are executed twice. */
    @Test
    void noMergeIsLostOrOvertakenUnderRetries() throws Exception {
        Random random = new Random(7);
        try (ScriptedServer server = new ScriptedServer(request -> {
            int fate;
            synchronized (random) {
                fate = random.nextInt(100);
            }
            Thread.sleep(fate % 5);
            if (fate < 5) {
                return new Reply(503, null);
            }
            Refused refused = fate % 2 == 0 ? BUSY : CONFLICT;
            return new Reply(200, item -> fate < 40 && item.id().hashCode() % 3 == fate % 3 ? refused : null);
        })) {
            TableEnvironment tables = Jobs.tables();
            tables.executeSql(Jobs.numbers(2000, 1_000_000));
            tables.executeSql(Jobs.table("out", "k BIGINT, a BIGINT, b BIGINT, PRIMARY KEY (k) NOT ENFORCED",
                    server.url(), "sink.write-mode", "merge", "sink.bulk-flush.max-actions", "10",
                    "sink.max-in-flight-requests", "8", "sink.retry.initial-delay", "1 ms",
                    "sink.retry.max-delay", "5 ms", "sink.bulk-flush.interval", "10 ms"));
            Jobs.insert(tables, "INSERT INTO `out` SELECT MOD(n * 7919, 50), CASE WHEN MOD(n, 4) = 0 THEN n END,"
                    + " CASE WHEN MOD(n, 4) <> 0 THEN n END FROM numbers");
            Map<String, String> expected = new HashMap<>();
            for (long k = 0; k < 50; k++) {
                long a = -1;
                long b = -1;
                for (long n = 1; n <= 2000; n++) {
                    boolean ofDocument = n * 7919 % 50 == k;
                    a = ofDocument && n % 4 == 0 ? n : a;
                    b = ofDocument && n % 4 != 0 ? n : b;
                }
                expected.put(String.valueOf(k), a + " " + b);
            }
            Map<String, String> written = new HashMap<>();
            server.documents("out").forEach((id, document) ->
                    written.put(id, document.path("a").asLong(-1) + " " + document.path("b").asLong(-1)));
            assertThat(written).isEqualTo(expected);
        }
    }

    @Test
    void aConflictIsSentAgainWhileAllOthersGoOn() throws Exception {
        AtomicInteger times = new AtomicInteger();
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.refusing(
                item -> item.id().equals("3") && times.getAndIncrement() < 3 ? CONFLICT : null))) {
            write(server, 200, "sink.write-mode", "merge", "sink.bulk-flush.max-actions", "20",
                    "sink.max-in-flight-requests", "1", "sink.retry.initial-delay", "300 ms");
            assertThat(server.documents("out")).hasSize(200);
            assertThat(sizes(server)).startsWith(20, 20, 20).endsWith(1, 1).hasSize(13);
        }
    }

    @Test
    void conflictsThatDoNotEndEndTheJob() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.refusing(item -> CONFLICT))) {
            assertThatThrownBy(() -> write(server, 1, "sink.write-mode", "update", "sink.retry.max-attempts", "3"))
                    .rootCause()
                    .hasMessageContaining("did not take the document update out/1 in 3 further attempts")
                    .hasMessageContaining("version_conflict_engine_exception");
        }
    }

    @Test
    void aRefusedMergeIsKeptAsItWasSent() throws Exception {
        try (ScriptedServer server = new ScriptedServer(
                ScriptedServer.refusing(item -> item.id().equals("2") ? MAPPING : null))) {
            write(server, 3, "sink.write-mode", "merge", "sink.failure-handler", "index:refused");
            assertThat(server.documents("out")).containsOnlyKeys("1", "3");
            JsonNode kept = server.documents("refused").values().iterator().next();
            assertThat(kept.get("operation").asText()).isEqualTo("update");
            assertThat(kept.get("source").asText()).isEqualTo("{\"doc_as_upsert\":true,\"doc\":{\"n\":2}}");
        }
    }

    @Test
    void aMergeThatIsTooLargeGoesToTheFailureHandler() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            TableEnvironment tables = Jobs.tables();
            tables.executeSql(Jobs.table("out", "id STRING, text STRING, PRIMARY KEY (id) NOT ENFORCED", server.url(),
                    "sink.write-mode", "merge", "sink.bulk-flush.max-size", "2kb",
                    "sink.failure-handler", "index:refused"));
            Jobs.insert(tables, "INSERT INTO `out` VALUES ('large', REPEAT('x', 3000)), ('next', 'y')");
            assertThat(server.documents("out")).containsOnlyKeys("next");
            JsonNode kept = server.documents("refused").values().iterator().next();
            assertThat(kept.get("error_type").asText()).isEqualTo("document_too_large");
            assertThat(kept.get("source").asText()).startsWith("{\"doc_as_upsert\":true,\"doc\":{\"id\":\"large\"");
        }
    }

    private static final String TEXT = "n BIGINT, text STRING, PRIMARY KEY (n) NOT ENFORCED";

    /** The failure handler is 'fail': a document that does not come is no failure. */
    @Test
    void anUpdateOfWhatDoesNotComeIsLeftAndCounted() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            write(server, 5);
            String metrics = "missing";
            TableEnvironment tables = Jobs.tables("pipeline.name", metrics);
            tables.executeSql(Jobs.numbers(12, 1_000_000));
            tables.executeSql(Jobs.table("out", TEXT, server.url(), "sink.write-mode", "update",
                    "sink.update.missing-timeout", "900 ms"));
            int before = server.received.size();
            Jobs.insert(tables, "INSERT INTO `out` SELECT n, 'new' FROM numbers");
            assertThat(server.documents("out")).hasSize(5).allSatisfy(
                    (id, document) -> assertThat(document.get("text").asText()).isEqualTo("new"));
            assertThat(TestReporter.value(metrics, "missingDocuments")).isEqualTo(7);
            assertThat(TestReporter.value(metrics, "numRecordsSend")).isEqualTo(5);
            assertThat(TestReporter.value(metrics, "rejected")).isZero();
            List<Received> updates = server.received.subList(before, server.received.size());
            assertThat(updates.get(updates.size() - 1).millis() - updates.get(0).millis()).isBetween(850L, 3000L);
            // After 100, 200 and 400 ms, and at the end.
            assertThat(updates).map(request -> request.items().size()).containsExactly(12, 7, 7, 7, 7);
        }
    }

    /** An index that may not be made by a write. */
    @Test
    void anUpdateWaitsForItsIndexToo() throws Exception {
        AtomicInteger times = new AtomicInteger();
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            write(server, 1);
            server.setScript(ScriptedServer.refusing(
                    item -> times.getAndIncrement() < 3 ? new Refused(404, "index_not_found_exception") : null));
            TableEnvironment tables = Jobs.tables();
            tables.executeSql(Jobs.table("out", TEXT, server.url(), "sink.write-mode", "update"));
            Jobs.insert(tables, "INSERT INTO `out` VALUES (1, 'new')");
            assertThat(server.documents("out").get("1").get("text").asText()).isEqualTo("new");
        }
    }

    /** Each document is changed 15 times before it is there, and then holds the last of all changes. */
    @Test
    void theLastOfSeveralUpdatesOfAMissingDocumentWins() throws Exception {
        String metrics = "several updates";
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            TableEnvironment tables = Jobs.tables("pipeline.name", metrics);
            tables.executeSql(Jobs.numbers(200, 200));
            tables.executeSql(Jobs.table("out", TEXT, server.url(), "sink.write-mode", "update",
                    "sink.update.missing-timeout", "4 s", "sink.bulk-flush.interval", "20 ms"));
            JobClient job = tables.executeSql("INSERT INTO `out` SELECT MOD(n, 10), CAST(n AS STRING) FROM numbers")
                    .getJobClient().orElseThrow();
            Jobs.await(job, () -> TestReporter.value(metrics, "numRecordsIn") >= 150);
            assertThat(server.documents("out")).isEmpty();
            for (int k = 0; k < 9; k++) {
                server.create("out", String.valueOf(k));
            }
            job.getJobExecutionResult().get(60, TimeUnit.SECONDS);
            Map<String, String> expected = new HashMap<>();
            for (int k = 0; k < 9; k++) {
                expected.put(String.valueOf(k), String.valueOf(k == 0 ? 200 : 190 + k));
            }
            Map<String, String> written = new HashMap<>();
            server.documents("out").forEach((id, document) -> written.put(id, document.get("text").asText()));
            assertThat(written).isEqualTo(expected);
            assertThat(TestReporter.value(metrics, "missingDocuments")).isEqualTo(1);
        }
    }

    /** The server is away for longer than an update waits; the document comes half a second after it. */
    @Test
    void theTimeOfAnOutageIsNotTimeToWaitForADocument() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            String metrics = "missing in an outage";
            TableEnvironment tables = Jobs.tables("pipeline.name", metrics);
            tables.executeSql(Jobs.numbers(1, 10));
            tables.executeSql(Jobs.table("out", TEXT, server.url(), "sink.write-mode", "update",
                    "sink.update.missing-timeout", "1500 ms", "sink.retry.max-delay", "200 ms",
                    "sink.bulk-flush.interval", "20 ms"));
            JobClient job = tables.executeSql("INSERT INTO `out` SELECT n, 'new' FROM numbers")
                    .getJobClient().orElseThrow();
            Jobs.await(job, () -> server.received.size() >= 2);
            server.setScript(ScriptedServer.status(503));
            Thread.sleep(2500);
            server.setScript(ScriptedServer.ACCEPT);
            Thread.sleep(700);
            assertThat(TestReporter.value(metrics, "missingDocuments")).isZero();
            server.create("out", "1");
            job.getJobExecutionResult().get(60, TimeUnit.SECONDS);
            assertThat(server.documents("out").get("1").get("text").asText()).isEqualTo("new");
        }
    }

    /** Every document is missing while the job runs, and there when it is restored. */
    @Test
    void checkpointsGoOnWhileUpdatesWaitAndHoldThem(@TempDir Path savepoints) throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            String[] ddl = {Jobs.numbers(300, 100), Jobs.table("out", TEXT, server.url(), "sink.write-mode", "update",
                    "sink.update.missing-timeout", "1 h", "sink.bulk-flush.interval", "50 ms")};
            String insert = "INSERT INTO `out` SELECT n, 'new' FROM numbers";
            String metrics = "waiting updates";
            TableEnvironment before =
                    Jobs.tables("pipeline.name", metrics, "execution.checkpointing.interval", "200 ms");
            before.executeSql(ddl[0]);
            before.executeSql(ddl[1]);
            JobClient job = before.executeSql(insert).getJobClient().orElseThrow();
            Jobs.await(job, () -> TestReporter.value(metrics, "bufferedRequests") >= 50);
            long checkpoints = TestReporter.value(metrics, "numberOfCompletedCheckpoints");
            Jobs.await(job, () -> TestReporter.value(metrics, "numberOfCompletedCheckpoints") >= checkpoints + 4
                    && TestReporter.value(metrics, "bufferedRequests") >= 100);
            String savepoint = job.triggerSavepoint(savepoints.toString(), SavepointFormatType.CANONICAL).get();
            job.cancel().get();
            assertThat(server.documents("out")).isEmpty();

            write(server, 300);
            TableEnvironment after = Jobs.tables("execution.state-recovery.path", savepoint);
            after.executeSql(ddl[0]);
            after.executeSql(ddl[1]);
            Jobs.insert(after, insert);
            assertThat(server.documents("out")).hasSize(300).allSatisfy(
                    (id, document) -> assertThat(document.get("text").asText()).isEqualTo("new"));
        }
    }

    // Documents that are refused for good

    @Test
    void aRefusedDocumentFailsTheJobUnlessToldOtherwise() throws Exception {
        try (ScriptedServer server =
                new ScriptedServer(ScriptedServer.refusing(item -> item.id().equals("2") ? MAPPING : null))) {
            assertThatThrownBy(() -> write(server, 3)).rootCause()
                    .hasMessageContaining("refuses the document index out/2 for good (400, document_parsing_exception)")
                    .hasMessageContaining("sink.failure-handler");
        }
    }

    @Test
    void refusedDocumentsAreIgnoredAndBlockNothing() throws Exception {
        try (ScriptedServer server = new ScriptedServer(
                ScriptedServer.refusing(item -> Integer.parseInt(item.id()) % 10 == 0 ? MAPPING : null))) {
            write(server, 1000, "sink.failure-handler", "ignore", "sink.bulk-flush.max-actions", "100");
            assertThat(server.documents("out")).hasSize(900);
            assertThat(sizes(server)).as("nothing is sent twice").hasSize(10).containsOnly(100);
        }
    }

    @Test
    void aRefusedDocumentIsKeptInAnIndexWithItsReason() throws Exception {
        try (ScriptedServer server = new ScriptedServer(
                ScriptedServer.refusing(item -> item.id().equals("2") ? MAPPING : null))) {
            write(server, 3, "sink.failure-handler", "index:refused");
            assertThat(server.documents("out")).containsOnlyKeys("1", "3");
            JsonNode kept = server.documents("refused").values().iterator().next();
            assertThat(kept.get("index").asText()).isEqualTo("out");
            assertThat(kept.get("id").asText()).isEqualTo("2");
            assertThat(kept.get("operation").asText()).isEqualTo("index");
            assertThat(kept.get("status").asInt()).isEqualTo(400);
            assertThat(kept.get("error_type").asText()).isEqualTo("document_parsing_exception");
            assertThat(kept.get("reason").asText()).isEqualTo("scripted");
            assertThat(kept.get("source").asText()).isEqualTo("{\"n\":2}");
            assertThat(kept.get("time").asText()).matches("\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z");
            write(server, 3, "sink.failure-handler", "index:refused");
            assertThat(server.documents("refused")).as("a replay does not double it").hasSize(1);
        }
    }

    @Test
    void theRecordOfARefusedDocumentMustNotBeRefusedItself() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.refusing(item -> MAPPING))) {
            assertThatThrownBy(() -> write(server, 1, "sink.failure-handler", "index:refused")).rootCause()
                    .hasMessageContaining("It is itself the record of a refused document");
        }
    }

    @Test
    void aDocumentThatIsTooLargeGoesToTheFailureHandler() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            TableEnvironment tables = Jobs.tables();
            tables.executeSql(Jobs.table("out", "id STRING, text STRING, PRIMARY KEY (id) NOT ENFORCED", server.url(),
                    "sink.bulk-flush.max-size", "2kb", "sink.failure-handler", "index:refused"));
            Jobs.insert(tables, "INSERT INTO `out` VALUES ('small', 'x'), ('large', REPEAT('x', 3000)), ('next', 'y')");
            assertThat(server.documents("out")).containsOnlyKeys("small", "next");
            JsonNode kept = server.documents("refused").values().iterator().next();
            assertThat(kept.get("error_type").asText()).isEqualTo("document_too_large");
            assertThat(kept.get("source").asText()).hasSize(512).startsWith("{\"id\":\"large\",\"text\":\"xxx");
            assertThat(kept.get("source_bytes").asInt()).isEqualTo(3024);
        }
    }

    @Test
    void aRowWithoutAnIndexGoesToTheFailureHandler() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            TableEnvironment tables = Jobs.tables();
            tables.executeSql(Jobs.table("out", "n INT, lang STRING", server.url(),
                    "index", "out-{lang}", "sink.failure-handler", "index:refused"));
            Jobs.insert(tables, "INSERT INTO `out` VALUES (1, 'de'), (2, CAST(NULL AS STRING))");
            assertThat(server.documents("out-de")).hasSize(1);
            assertThat(server.documents("refused").values().iterator().next().get("error_type").asText())
                    .isEqualTo("index_name_missing");
        }
    }

    @Test
    void deletingWhatIsNotThereIsNoError() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.refusing(
                item -> item.action().equals("delete") ? new Refused(404, "index_not_found_exception") : null))) {
            TableEnvironment tables = Jobs.tables();
            tables.executeSql(Jobs.numbers(20, 1_000_000));
            tables.executeSql(Jobs.table("out", "k BIGINT, c BIGINT, PRIMARY KEY (k) NOT ENFORCED", server.url(),
                    "sink.bulk-flush.max-actions", "1"));
            Jobs.insert(tables,
                    "INSERT INTO `out` SELECT k, COUNT(*) FROM (SELECT MAX(n) AS k FROM numbers) GROUP BY k");
            assertThat(server.received).anyMatch(request -> request.items().get(0).action().equals("delete"));
            assertThat(server.documents("out")).containsKey("20");
        }
    }

    // Batching

    @Test
    void noRequestHasMoreActionsThanAllowed() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            write(server, 1000, "sink.bulk-flush.max-actions", "70");
            assertThat(sizes(server)).hasSizeGreaterThan(14).allMatch(size -> size <= 70).contains(70);
            assertThat(server.documents("out")).hasSize(1000);
        }
    }

    @Test
    void noRequestHasMoreBytesThanAllowed() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            write(server, 1000, "sink.bulk-flush.max-size", "4kb");
            assertThat(server.received).allMatch(request -> request.bytes() <= 4096).anyMatch(r -> r.bytes() > 4000);
            assertThat(server.documents("out")).hasSize(1000);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3})
    void noMoreRequestsAreUnderWayThanAllowed(int most) throws Exception {
        try (ScriptedServer server = new ScriptedServer(request -> {
            Thread.sleep(20);
            return new Reply(200, item -> null);
        })) {
            write(server, 1000, "sink.bulk-flush.max-actions", "20", "sink.max-in-flight-requests", "" + most);
            assertThat(server.mostUnderWay).hasValue(most);
            assertThat(server.documents("out")).hasSize(1000);
        }
    }

    /** The source gives 20 rows at once each second. */
    @ParameterizedTest
    @CsvSource({"200, 20, 20", "2500, 40, 80"})
    void aDocumentWaitsAsLongAsTheInterval(int interval, int least, int most) throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            TableEnvironment tables = Jobs.tables();
            tables.executeSql(Jobs.numbers(10_000, 20));
            tables.executeSql(Jobs.table("out", KEYED, server.url(), "sink.bulk-flush.interval", interval + " ms"));
            JobClient job = tables.executeSql("INSERT INTO `out` SELECT n FROM numbers").getJobClient().orElseThrow();
            Jobs.await(job, () -> server.received.size() >= 2);
            job.cancel().get();
            assertThat(sizes(server)).allMatch(size -> size >= least && size <= most);
        }
    }

    @Test
    void aCheckpointSendsWhatIsBuffered() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            TableEnvironment tables = Jobs.tables("execution.checkpointing.interval", "300 ms");
            tables.executeSql(Jobs.numbers(10_000, 20));
            tables.executeSql(Jobs.table("out", KEYED, server.url(), "sink.bulk-flush.interval", "1 h"));
            JobClient job = tables.executeSql("INSERT INTO `out` SELECT n FROM numbers").getJobClient().orElseThrow();
            Jobs.await(job, () -> server.received.size() >= 4);
            job.cancel().get();
            assertThat(server.documents("out").size()).isGreaterThanOrEqualTo(10);
        }
    }

    @Test
    void theJobIsHeldBackWhileTheBufferIsFull() throws Exception {
        CountDownLatch back = new CountDownLatch(1);
        try (ScriptedServer server = new ScriptedServer(request -> {
            back.await();
            return new Reply(200, item -> null);
        })) {
            String metrics = "held back";
            TableEnvironment tables = Jobs.tables("pipeline.name", metrics);
            tables.executeSql(Jobs.numbers(10_000, 1_000_000));
            tables.executeSql(Jobs.table("out", KEYED, server.url(), "sink.bulk-flush.max-actions", "50",
                    "sink.max-in-flight-requests", "2", "sink.max-buffered-requests", "300"));
            JobClient job = tables.executeSql("INSERT INTO `out` SELECT n FROM numbers").getJobClient().orElseThrow();
            Jobs.await(job, () -> TestReporter.value(metrics, "bufferedRequests") >= 300);
            Thread.sleep(500);
            assertThat(TestReporter.value(metrics, "bufferedRequests")).isEqualTo(300);
            assertThat(TestReporter.value(metrics, "inFlightRequests")).isEqualTo(2);
            assertThat(TestReporter.value(metrics, "numRecordsIn")).isEqualTo(400);
            back.countDown();
            job.getJobExecutionResult().get(60, TimeUnit.SECONDS);
            assertThat(server.documents("out")).hasSize(10_000);
        }
    }

    @Test
    void theJobIsHeldBackWhileTheBufferHasTooManyBytes() throws Exception {
        CountDownLatch back = new CountDownLatch(1);
        try (ScriptedServer server = new ScriptedServer(request -> {
            back.await();
            return new Reply(200, item -> null);
        })) {
            String metrics = "held back by bytes";
            TableEnvironment tables = Jobs.tables("pipeline.name", metrics);
            tables.executeSql(Jobs.numbers(10_000, 1_000_000));
            tables.executeSql(Jobs.table("out", "n BIGINT, text STRING, PRIMARY KEY (n) NOT ENFORCED", server.url(),
                    "sink.bulk-flush.max-size", "10kb", "sink.max-in-flight-requests", "3"));
            JobClient job = tables.executeSql("INSERT INTO `out` SELECT n, REPEAT('x', 900) FROM numbers")
                    .getJobClient().orElseThrow();
            Jobs.await(job, () -> TestReporter.value(metrics, "bufferedRequests") >= 60);
            Thread.sleep(500);
            // Twice three requests of 10 KB, at nearly 1 KB a document.
            assertThat(TestReporter.value(metrics, "bufferedRequests")).isBetween(60L, 66L);
            back.countDown();
            job.getJobExecutionResult().get(60, TimeUnit.SECONDS);
            assertThat(server.documents("out")).hasSize(10_000);
        }
    }

    @Test
    void compressedRequestsAreSmallerAndReadTheSame() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            write(server, 1000, "sink.bulk-flush.compression", "gzip");
            assertThat(server.documents("out")).hasSize(1000);
            assertThat(server.received).allMatch(
                    request -> request.headers().getFirst("Content-Encoding").equals("gzip"));
            assertThat(server.received.stream().mapToInt(Received::bytes).sum()).isLessThan(20_000);
        }
    }

    // Connection

    @Test
    void requestsAreWhatElasticsearchExpects() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            write(server, 1);
            Received request = server.received.get(0);
            assertThat(request.path()).isEqualTo("/_bulk");
            assertThat(request.headers().getFirst("Content-Type")).isEqualTo("application/x-ndjson");
            assertThat(request.headers()).doesNotContainKeys("Authorization", "Content-Encoding");
        }
    }

    @Test
    void userAndPathPrefixAreSent() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            write(server, 1, "username", "ann", "password", "päss:word", "api-key", "",
                    "connection.path-prefix", "/search");
            Received request = server.received.get(0);
            assertThat(request.path()).isEqualTo("/search/_bulk");
            assertThat(request.headers().getFirst("Authorization"))
                    .isEqualTo("Basic " + Base64.getEncoder().encodeToString("ann:päss:word".getBytes("UTF-8")));
        }
    }

    @Test
    void theApiKeyIsSent() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            write(server, 1, "api-key", "a2V5", "username", "", "password", "");
            assertThat(server.received.get(0).headers().getFirst("Authorization")).isEqualTo("ApiKey a2V5");
        }
    }

    @Test
    void aNodeThatIsAwayIsPassedOver() throws Exception {
        int unused;
        try (ServerSocket socket = new ServerSocket(0)) {
            unused = socket.getLocalPort();
        }
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.ACCEPT)) {
            write("http://127.0.0.1:" + unused + ";" + server.url(), KEYED, 100);
            assertThat(server.documents("out")).hasSize(100);
        }
    }

    @Test
    void aNodeThatDoesNotAcceptConnectionsIsGivenUpInTime() throws Exception {
        try (ServerSocket full = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
                Socket first = new Socket(full.getInetAddress(), full.getLocalPort());
                Socket second = new Socket(full.getInetAddress(), full.getLocalPort())) {
            assertThat(first.isConnected() && second.isConnected()).as("the queue of connections is full").isTrue();
            String metrics = "connection timeout";
            TableEnvironment tables = Jobs.tables("pipeline.name", metrics);
            tables.executeSql(Jobs.numbers(10, 1_000_000));
            tables.executeSql(Jobs.table("out", KEYED, "http://127.0.0.1:" + full.getLocalPort(),
                    "connection.timeout", "200 ms", "sink.retry.max-delay", "100 ms"));
            JobClient job = tables.executeSql("INSERT INTO `out` SELECT n FROM numbers").getJobClient().orElseThrow();
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(15);
            while (TestReporter.value(metrics, "retries") < 40 && System.nanoTime() < end) {
                Thread.sleep(20);
            }
            job.cancel().get();
            assertThat(TestReporter.value(metrics, "retries")).isGreaterThanOrEqualTo(40);
        }
    }

    @Test
    void aSilentServerIsAskedAgain() throws Exception {
        try (ScriptedServer server = new ScriptedServer(request -> {
            if (request.number() == 0) {
                Thread.sleep(60_000);
            }
            return new Reply(200, item -> null);
        })) {
            write(server, 10, "socket.timeout", "300 ms");
            assertThat(sizes(server)).containsExactly(10, 10);
            assertThat(gaps(server.received)).allMatch(gap -> gap > 250 && gap < 3000);
        }
    }

    /** A server that sends a byte now and then is never silent: only the time for the whole answer ends that. */
    @Test
    void anAnswerThatDoesNotEndIsGivenUp() throws Exception {
        try (ServerSocket trickle = new ServerSocket(0, 10, InetAddress.getLoopbackAddress())) {
            AtomicInteger connections = new AtomicInteger();
            Thread thread = new Thread(() -> trickle(trickle, connections));
            thread.setDaemon(true);
            thread.start();
            TableEnvironment tables = Jobs.tables();
            tables.executeSql(Jobs.numbers(10, 1_000_000));
            tables.executeSql(Jobs.table("out", KEYED, "http://127.0.0.1:" + trickle.getLocalPort(),
                    "connection.request-timeout", "400 ms", "socket.timeout", "30 s"));
            JobClient job = tables.executeSql("INSERT INTO `out` SELECT n FROM numbers").getJobClient().orElseThrow();
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
            while (connections.get() < 4 && System.nanoTime() < end) {
                Thread.sleep(50);
            }
            job.cancel().get();
            assertThat(connections.get()).isGreaterThanOrEqualTo(4);
        }
    }

    private static void trickle(ServerSocket server, AtomicInteger connections) {
        try {
            while (true) {
                Socket socket = server.accept();
                connections.incrementAndGet();
                Thread thread = new Thread(() -> {
                    try (socket) {
                        socket.getOutputStream().write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".getBytes());
                        while (true) {
                            socket.getOutputStream().write(' ');
                            Thread.sleep(50);
                        }
                    } catch (Exception e) {
                        Thread.currentThread().interrupt();
                    }
                });
                thread.setDaemon(true);
                thread.start();
            }
        } catch (Exception e) {
            Thread.currentThread().interrupt();
        }
    }

    // State and metrics

    @Test
    void whatIsBufferedWhileTheServerIsAwaySurvivesInASavepoint(@TempDir Path savepoints) throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.status(503))) {
            String[] ddl = {Jobs.numbers(300, 100), Jobs.table("out", KEYED, server.url())};
            String metrics = "savepoint";
            TableEnvironment before = Jobs.tables("pipeline.name", metrics);
            before.executeSql(ddl[0]);
            before.executeSql(ddl[1]);
            JobClient job = before.executeSql("INSERT INTO `out` SELECT n FROM numbers").getJobClient().orElseThrow();
            Jobs.await(job, () -> TestReporter.value(metrics, "bufferedRequests") >= 100);
            String savepoint = job.triggerSavepoint(savepoints.toString(), SavepointFormatType.CANONICAL).get();
            job.cancel().get();
            assertThat(server.documents("out")).isEmpty();

            server.setScript(ScriptedServer.ACCEPT);
            TableEnvironment after = Jobs.tables("execution.state-recovery.path", savepoint);
            after.executeSql(ddl[0]);
            after.executeSql(ddl[1]);
            Jobs.insert(after, "INSERT INTO `out` SELECT n FROM numbers");
            assertThat(server.documents("out")).hasSize(300);
        }
    }

    @Test
    void checkpointsGoOnWhileTheServerIsAwayAndTheBufferIsNotFull() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.status(503))) {
            String metrics = "checkpoints";
            TableEnvironment tables =
                    Jobs.tables("pipeline.name", metrics, "execution.checkpointing.interval", "200 ms");
            tables.executeSql(Jobs.numbers(10_000, 20));
            tables.executeSql(Jobs.table("out", KEYED, server.url(), "sink.bulk-flush.interval", "100 ms"));
            JobClient job = tables.executeSql("INSERT INTO `out` SELECT n FROM numbers").getJobClient().orElseThrow();
            Jobs.await(job, () -> TestReporter.value(metrics, "bufferedRequests") >= 20);
            long before = TestReporter.value(metrics, "numberOfCompletedCheckpoints");
            Thread.sleep(4000);
            long during = TestReporter.value(metrics, "numberOfCompletedCheckpoints") - before;
            job.cancel().get();
            assertThat(during).isGreaterThanOrEqualTo(4);
            assertThat(server.documents("out")).isEmpty();
        }
    }

    @Test
    void metricsSayWhatHappened() throws Exception {
        AtomicInteger times = new AtomicInteger();
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.refusing(item -> switch (item.id()) {
            case "3" -> times.getAndIncrement() < 2 ? BUSY : null;
            case "5" -> MAPPING;
            default -> null;
        }))) {
            String metrics = "metrics";
            TableEnvironment tables = Jobs.tables("pipeline.name", metrics);
            long start = System.currentTimeMillis();
            tables.executeSql(Jobs.numbers(10, 1_000_000));
            tables.executeSql(Jobs.table("out", KEYED, server.url(), "sink.failure-handler", "ignore"));
            Jobs.insert(tables, "INSERT INTO `out` SELECT n FROM numbers");
            assertThat(TestReporter.value(metrics, "numRecordsSend")).isEqualTo(9);
            assertThat(TestReporter.value(metrics, "numRecordsSendErrors")).isEqualTo(1);
            assertThat(TestReporter.value(metrics, "rejected")).isEqualTo(1);
            assertThat(TestReporter.value(metrics, "retries")).isEqualTo(2);
            assertThat(TestReporter.value(metrics, "numBytesSend"))
                    .isEqualTo(server.received.stream().mapToInt(Received::bytes).sum());
            assertThat(TestReporter.value(metrics, "lastFlushTime")).isBetween(start, System.currentTimeMillis());
        }
    }

    @Test
    void theSinkHasTheParallelismItIsGiven() throws Exception {
        TableEnvironment tables = Jobs.tables();
        tables.executeSql(Jobs.numbers(10, 1_000_000));
        tables.executeSql(Jobs.table("out", KEYED, "http://127.0.0.1:1", "sink.parallelism", "3"));
        String plan = tables.explainSql("INSERT INTO `out` SELECT n FROM numbers",
                ExplainDetail.JSON_EXECUTION_PLAN);
        JsonNode nodes = ElasticsearchServer.JSON.readTree(plan.substring(plan.indexOf("{"))).get("nodes");
        TreeSet<Integer> parallelism = new TreeSet<>();
        nodes.forEach(node -> {
            if (node.get("type").asText().contains("Writer")) {
                parallelism.add(node.get("parallelism").asInt());
            }
        });
        assertThat(parallelism).containsExactly(3);
    }
}
