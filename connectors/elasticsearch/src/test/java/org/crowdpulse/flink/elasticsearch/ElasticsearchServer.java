package org.crowdpulse.flink.elasticsearch;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.Authenticator;
import java.net.PasswordAuthentication;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;

/**
 * A real Elasticsearch node of one version on free ports of 127.0.0.1, in a temporary directory that goes with it.
 *
 * <p>Elasticsearch does not run as root: then it is run by the system user {@code crowdpulse}, made if it is missing.
 */
final class ElasticsearchServer implements AutoCloseable {

    static final ObjectMapper JSON = new ObjectMapper();

    private static final String USER = "crowdpulse";
    private static final boolean ROOT = "root".equals(System.getProperty("user.name"));
    private static final String HEAP = System.getProperty("elasticsearch.heap", "512m");
    private static final Duration START_BOUND = Duration.ofSeconds(120);

    private HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(2)).build();
    private String scheme = "http";
    private final Path home;
    private final Path java;
    private final Path directory;
    private final int port;
    private final int transportPort;
    private final Thread stopAtExit = new Thread(this::kill);
    private Process process;
    private long upSince;

    /**
     * @param home where the server is unpacked
     * @param javaVersion the oldest Java it runs on
     */
    ElasticsearchServer(Path home, int javaVersion) throws Exception {
        this.java = javaHome(javaVersion)
                .orElseThrow(() -> new IllegalStateException("There is no Java " + javaVersion + " or later."));
        this.directory = Files.createTempDirectory(Path.of("/tmp"), "sink-it-");
        this.home = readableHome(home);
        this.port = freePort();
        this.transportPort = freePort();
        Files.createDirectories(directory.resolve("config"));
        Files.copy(home.resolve("config/log4j2.properties"), directory.resolve("config/log4j2.properties"));
        Files.copy(home.resolve("config/jvm.options"), directory.resolve("config/jvm.options"));
        Files.writeString(directory.resolve("config/elasticsearch.yml"), String.join("\n",
                "cluster.name: " + directory.getFileName(),
                "path.data: " + directory.resolve("data"),
                "path.logs: " + directory.resolve("logs"),
                "network.host: 127.0.0.1",
                "http.port: " + port,
                "transport.port: " + transportPort,
                "discovery.type: single-node",
                "xpack.security.enabled: false",
                "cluster.routing.allocation.disk.threshold_enabled: false",
                ""));
        Files.createDirectories(directory.resolve("tmp"));
        Runtime.getRuntime().addShutdownHook(stopAtExit);
        if (ROOT) {
            if (run("id", USER) != 0 && run("useradd", "--system", "--no-create-home", USER) != 0) {
                throw new IOException("The user " + USER + " cannot be made; make it, or run the tests as a user.");
            }
        }
        giveToUser();
    }

    private void giveToUser() throws IOException, InterruptedException {
        if (ROOT) {
            run("chown", "-R", USER, directory.toString());
        }
    }

    /** The user that {@link #secure} lets in, and its password. */
    static final String SECURE_USER = "ann";

    static final String SECURE_PASSWORD = "secret-of-ann";

    /** Makes the node, not yet started, speak TLS as {@code localhost} and ask for a user. */
    void secure(Certificate certificate) throws Exception {
        Path config = directory.resolve("config");
        certificate.writePem(config.resolve("key.pem"), config.resolve("chain.pem"));
        Path settings = config.resolve("elasticsearch.yml");
        String open = Files.readString(settings);
        Files.writeString(settings, open.replace("security.enabled: false", "security.enabled: true")
                + String.join("\n",
                        "xpack.security.http.ssl.enabled: true",
                        "xpack.security.http.ssl.key: key.pem",
                        "xpack.security.http.ssl.certificate: chain.pem",
                        ""));
        Files.writeString(config.resolve("users"),
                SECURE_USER + ":$2a$04$abcdefghijklmnopqrstuus69hjxMMx9ICADMPTNcQKpEHhY3F6BO\n");
        Files.writeString(config.resolve("users_roles"), "superuser:" + SECURE_USER + "\n");
        Files.writeString(config.resolve("roles.yml"), "");
        scheme = "https";
        http = HttpClient.newBuilder().sslContext(certificate.trusting()).authenticator(new Authenticator() {
            @Override
            protected PasswordAuthentication getPasswordAuthentication() {
                return new PasswordAuthentication(SECURE_USER, SECURE_PASSWORD.toCharArray());
            }
        }).build();
        giveToUser();
    }

    /** A Java of at least some version: JAVA_HOME, the Java that runs this, or one of /usr/lib/jvm. */
    static Optional<Path> javaHome(int version) throws IOException {
        List<Path> candidates = new ArrayList<>();
        Optional.ofNullable(System.getenv("JAVA_HOME")).map(Path::of).ifPresent(candidates::add);
        candidates.add(Path.of(System.getProperty("java.home")));
        Path jvms = Path.of("/usr/lib/jvm");
        if (Files.isDirectory(jvms)) {
            try (Stream<Path> installed = Files.list(jvms)) {
                installed.sorted().forEach(candidates::add);
            }
        }
        for (Path candidate : candidates) {
            Path release = candidate.resolve("release");
            if (Files.isExecutable(candidate.resolve("bin/java")) && Files.exists(release)) {
                Optional<Integer> feature = Files.readAllLines(release).stream()
                        .filter(line -> line.startsWith("JAVA_VERSION="))
                        .map(line -> Integer.parseInt(line.replaceAll("[^\"]*\"(\\d+).*", "$1")))
                        .findFirst();
                if (feature.isPresent() && feature.get() >= version) {
                    return Optional.of(candidate);
                }
            }
        }
        return Optional.empty();
    }

    /** The other user may not reach the build's directory; then the server is copied to where it may. */
    private Path readableHome(Path unpacked) throws Exception {
        String program = unpacked + "/bin/elasticsearch";
        if (!ROOT || run("setpriv", "--reuid", USER, "--clear-groups", "test", "-r", program) == 0) {
            return unpacked;
        }
        Path copy = directory.resolve("home");
        run("cp", "-r", unpacked.toString(), copy.toString());
        return copy;
    }

    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }

    private static int run(String... command) throws IOException, InterruptedException {
        return new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start()
                .waitFor();
    }

    /** Starts the node, on the data it had before, and waits until its indices can be written. */
    void start() throws Exception {
        launch();
        long end = System.nanoTime() + START_BOUND.toNanos();
        while (!answers()) {
            if (!process.isAlive() || System.nanoTime() > end) {
                String output = Files.readString(directory.resolve("out"));
                close();
                throw new IOException("Elasticsearch did not start: " + output);
            }
            Thread.sleep(100);
        }
        upSince = System.currentTimeMillis();
    }

    private void launch() throws IOException {
        List<String> command = new ArrayList<>();
        if (ROOT) {
            command.addAll(List.of("setpriv", "--reuid", USER, "--clear-groups"));
        }
        command.addAll(List.of("bash", home.resolve("bin/elasticsearch").toString()));
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().put("ES_JAVA_HOME", java.toString());
        builder.environment().put("ES_PATH_CONF", directory.resolve("config").toString());
        builder.environment().put("ES_TMPDIR", directory.resolve("tmp").toString());
        builder.environment().put("ES_JAVA_OPTS", HEAP.replaceAll("(.+)", "-Xms$1 -Xmx$1"));
        builder.directory(directory.toFile());
        builder.redirectErrorStream(true).redirectOutput(directory.resolve("out").toFile());
        process = builder.start();
    }

    private boolean answers() {
        try {
            String health = "/_cluster/health?wait_for_status=yellow&timeout=1s";
            return List.of("yellow", "green").contains(request("GET", health, null).path("status").asText());
        } catch (IOException | InterruptedException e) {
            return false;
        }
    }

    /** Ends the node at once, as a crash would. */
    void kill() {
        if (process != null) {
            Stream.concat(process.descendants(), Stream.of(process.toHandle())).toList().forEach(handle -> {
                handle.destroyForcibly();
                try {
                    handle.onExit().get(20, TimeUnit.SECONDS);
                } catch (Exception e) {
                    throw new IllegalStateException("Process " + handle.pid() + " does not end.", e);
                }
            });
            process = null;
        }
    }

    String url() {
        return url(scheme.equals("http") ? "127.0.0.1" : "localhost");
    }

    /** The address of the node by one of its names. */
    String url(String host) {
        return scheme + "://" + host + ":" + port;
    }

    /** When the node answered for the first time, in milliseconds since 1970. */
    long upSince() {
        return upSince;
    }

    JsonNode request(String method, String path, String body) throws IOException, InterruptedException {
        HttpRequest.BodyPublisher publisher = body == null
                ? HttpRequest.BodyPublishers.noBody()
                : HttpRequest.BodyPublishers.ofString(body);
        HttpRequest request = HttpRequest.newBuilder(URI.create(url() + path))
                .header("Content-Type", "application/json")
                .timeout(Duration.ofSeconds(30))
                .method(method, publisher)
                .build();
        return JSON.readTree(http.send(request, HttpResponse.BodyHandlers.ofString()).body());
    }

    /** How many documents an index has; 0 if there is no such index. */
    long count(String index) throws IOException, InterruptedException {
        request("POST", "/" + index + "/_refresh", null);
        return request("GET", "/" + index + "/_count", null).path("count").asLong();
    }

    /** Up to 10,000 documents of an index by id, each as it was written. */
    Map<String, JsonNode> documents(String index) throws IOException, InterruptedException {
        request("POST", "/" + index + "/_refresh", null);
        Map<String, JsonNode> documents = new TreeMap<>();
        JsonNode answer = request("GET", "/" + index + "/_search?size=10000", null);
        for (JsonNode hit : answer.path("hits").path("hits")) {
            documents.put(hit.path("_id").asText(), hit.path("_source"));
        }
        return documents;
    }

    @Override
    public void close() {
        kill();
        if (!Files.exists(directory)) {
            return;
        }
        Runtime.getRuntime().removeShutdownHook(stopAtExit);
        try (Stream<Path> files = Files.walk(directory)) {
            files.sorted(Comparator.reverseOrder()).forEach(file -> file.toFile().delete());
        } catch (IOException e) {
            throw new UncheckedIOException("The directory " + directory + " cannot be removed.", e);
        }
    }
}
