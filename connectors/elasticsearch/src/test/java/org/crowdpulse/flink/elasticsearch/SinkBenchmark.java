package org.crowdpulse.flink.elasticsearch;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/**
 * Documents per second of the sink, beside the same query into a blackhole and beside bulk requests made beforehand.
 *
 * <p>Arguments: documents per run, then options of the sink as {@code key=value}; several groups of options are
 * separated by {@code --} and run one after the other.
 */
final class SinkBenchmark {

    private static final String COLUMNS = "post_id STRING, platform STRING, author STRING, author_id BIGINT,"
            + " text STRING, lang STRING, likes INT, shares INT, toxicity DOUBLE, sentiment DOUBLE, spam DOUBLE,"
            + " is_reply BOOLEAN, url STRING, event_time TIMESTAMP_LTZ(3)";

    private static final String MAPPING = """
            {"settings": {"number_of_shards": 1, "number_of_replicas": 0},
             "mappings": {"properties": {
              "post_id": {"type": "keyword"}, "platform": {"type": "keyword"}, "author": {"type": "keyword"},
              "author_id": {"type": "long"}, "text": {"type": "text"}, "lang": {"type": "keyword"},
              "likes": {"type": "integer"}, "shares": {"type": "integer"}, "toxicity": {"type": "float"},
              "sentiment": {"type": "float"}, "spam": {"type": "float"}, "is_reply": {"type": "boolean"},
              "url": {"type": "keyword"}, "event_time": {"type": "date"}}}}""";

    private static final String POSTS = "SELECT 'post-' || CAST(id AS STRING),"
            + " 'platform-' || CAST(MOD(id, 7) AS STRING),"
            + " 'author number ' || CAST(MOD(id * 7919, 50000) AS STRING), MOD(id * 7919, 50000),"
            + " 'Post ' || CAST(id AS STRING) || ' says \"hello\" to ' || CAST(MOD(id * 31, 977) AS STRING)"
            + " || ' people, and it goes on for a while, as posts do, about what was seen on the way to work; "
            + "der Zug war wieder zu spät, 今日はいい天気ですね, and then some more words so that it is about "
            + "as long as such texts are, for example ' || CAST(MOD(id * 104729, 1000003) AS STRING),"
            + " 'en', CAST(MOD(id, 1000) AS INT), CAST(MOD(id, 77) AS INT), RAND(1), RAND(2), RAND(3), MOD(id, 3) = 0,"
            + " 'https://social.example.org/posts/' || CAST(id AS STRING) || '?from=timeline',"
            + " TO_TIMESTAMP_LTZ(1760000000000 + id * 13, 3) FROM numbers";

    private SinkBenchmark() {}

    /** Prints one line per run: documents per second, and processor time per document. */
    public static void main(String[] arguments) throws Exception {
        int documents = Integer.parseInt(arguments[0]);
        String[] groups = String.join(" ", arguments).substring(arguments[0].length()).trim().split(" ?-- ?");
        Path home = Path.of(System.getProperty("elasticsearch.home"));
        int java = home.getFileName().toString().startsWith("elasticsearch-8") ? 17 : 21;
        try (ElasticsearchServer server = new ElasticsearchServer(home, java)) {
            server.start();
            run(server, "blackhole (warm-up)", documents, "'connector' = 'blackhole'");
            run(server, "blackhole", documents, "'connector' = 'blackhole'");
            server.request("PUT", "/posts", MAPPING);
            run(server, "sink (warm-up)", documents, options(server, ""));
            for (String group : groups) {
                server.request("DELETE", "/posts", null);
                server.request("PUT", "/posts", MAPPING);
                run(server, "sink " + group, documents, options(server, group));
                if (server.count("posts") != documents) {
                    throw new IllegalStateException("There are " + server.count("posts") + " documents.");
                }
            }
            server.request("DELETE", "/posts", null);
            server.request("PUT", "/posts", MAPPING);
            prepared(server, documents);
        }
    }

    private static String options(ElasticsearchServer server, String group) {
        StringBuilder options = new StringBuilder(
                "'connector' = 'elasticsearch', 'index' = 'posts', 'hosts' = '" + server.url() + "'");
        for (String option : group.split(" ")) {
            if (option.contains("=")) {
                options.append(", '").append(option.replace("=", "' = '")).append("'");
            }
        }
        return options.toString();
    }

    private static void run(ElasticsearchServer server, String name, int documents, String options) throws Exception {
        Configuration configuration = new Configuration();
        configuration.setString("parallelism.default", "1");
        configuration.setString("table.local-time-zone", "UTC");
        TableEnvironment tables = TableEnvironment.create(
                EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(configuration).build());
        tables.executeSql("CREATE TABLE numbers (id BIGINT) WITH ('connector' = 'datagen',"
                + " 'rows-per-second' = '10000000', "
                + "'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '" + documents + "')");
        tables.executeSql("CREATE TABLE posts (" + COLUMNS + ", PRIMARY KEY (post_id) NOT ENFORCED) WITH (" + options
                + ")");
        Clock clock = new Clock(server);
        tables.executeSql("INSERT INTO posts " + POSTS).await();
        clock.report(name, documents);
    }

    /** The server's own limit here: four requests of 1,000 documents at a time, made before the clock starts. */
    private static void prepared(ElasticsearchServer server, int documents) throws Exception {
        HttpClient http = HttpClient.newHttpClient();
        ArrayDeque<byte[]> bodies = new ArrayDeque<>();
        for (int from = 0; from < documents; from += 1000) {
            StringBuilder body = new StringBuilder();
            for (int i = from; i < Math.min(documents, from + 1000); i++) {
                body.append(("{'index':{'_index':'posts','_id':'post-" + i + "'}}\n{'post_id':'post-" + i
                        + "','platform':'platform-" + i % 7 + "','author':'author number " + i * 7919L % 50000
                        + "','author_id':" + i * 7919L % 50000 + ",'text':'Post " + i + " says \\'hello\\' to "
                        + i * 31 % 977 + " people, and it goes on for a while, as posts do, about what was seen on the"
                        + " way to work; der Zug war wieder zu spät, 今日はいい天気ですね, and then some more words so that"
                        + " it is about as long as such texts are, for example " + i * 104729L % 1000003
                        + "','lang':'en','likes':" + i % 1000 + ",'shares':" + i % 77 + ",'toxicity':"
                        + Math.random() + ",'sentiment':" + Math.random() + ",'spam':" + Math.random()
                        + ",'is_reply':" + (i % 3 == 0) + ",'url':'https://social.example.org/posts/" + i
                        + "?from=timeline','event_time':" + (1760000000000L + i * 13L) + "}\n").replace('\'', '"'));
            }
            bodies.add(body.toString().getBytes(StandardCharsets.UTF_8));
        }
        System.out.println("bytes per document: " + bodies.peek().length / 1000);
        Clock clock = new Clock(server);
        ArrayDeque<CompletableFuture<HttpResponse<String>>> underWay = new ArrayDeque<>();
        while (!bodies.isEmpty()) {
            if (underWay.size() == 4) {
                underWay.poll().join();
            }
            HttpRequest request = HttpRequest.newBuilder(URI.create(server.url() + "/_bulk?filter_path=errors"))
                    .header("Content-Type", "application/x-ndjson")
                    .POST(HttpRequest.BodyPublishers.ofByteArray(bodies.poll()))
                    .build();
            underWay.add(http.sendAsync(request, HttpResponse.BodyHandlers.ofString()));
        }
        for (CompletableFuture<HttpResponse<String>> request : underWay) {
            if (!request.join().body().contains("\"errors\":false")) {
                throw new IllegalStateException(request.join().body());
            }
        }
        clock.report("prepared requests", documents);
    }

    /** Measures from its making on: time, processor time of this process and of the server. */
    private static final class Clock {

        private final ElasticsearchServer server;
        private final long cpu = cpu();
        private final long serverCpu;
        private final long start = System.nanoTime();

        Clock(ElasticsearchServer server) throws Exception {
            this.server = server;
            this.serverCpu = serverCpu();
        }

        private static long cpu() {
            return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
        }

        private long serverCpu() throws Exception {
            return server.request("GET", "/_nodes/stats/process", null)
                    .findPath("cpu").path("total_in_millis").asLong();
        }

        void report(String name, int documents) throws Exception {
            long nanos = System.nanoTime() - start;
            System.out.printf("%-50s %7.0f documents/s; µs of processor time per document: here %5.1f, server %5.1f%n",
                    name, documents * 1e9 / nanos, (cpu() - cpu) / 1e3 / documents,
                    (serverCpu() - serverCpu) * 1e3 / documents);
        }
    }
}
