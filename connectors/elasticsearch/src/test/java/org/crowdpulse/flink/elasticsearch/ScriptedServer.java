package org.crowdpulse.flink.elasticsearch;

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.zip.GZIPInputStream;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * Answers {@code _bulk} as a script says, since no real server can be told to refuse the third item. What it accepts,
 * it keeps as Elasticsearch would.
 */
final class ScriptedServer implements AutoCloseable {

    /** One action of a bulk request; the source is null for a deletion. */
    record Item(String action, String index, String id, JsonNode source) {}

    /** One bulk request, counted from 0. */
    record Received(int number, long millis, String path, Headers headers, int bytes, List<Item> items) {}

    /** What the server does with a request. */
    interface Script {
        Reply reply(Received request) throws Exception;
    }

    /** What the server does with one item: null to accept it. */
    interface ItemScript {
        Refused refuse(Item item);
    }

    /** Status and error type of a refused item. */
    record Refused(int status, String type) {}

    /** A status for the whole request, 0 to cut the connection; or 200 and what becomes of each item. */
    record Reply(int status, ItemScript items) {}

    static {
        // Without it, each answer waits 40 ms for the client's acknowledgement of its header.
        System.setProperty("sun.net.httpserver.nodelay", "true");
    }

    static final Script ACCEPT = request -> new Reply(200, item -> null);

    private final HttpServer server;
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final Map<String, JsonNode> documents = new TreeMap<>();
    private final AtomicInteger number = new AtomicInteger();
    private final AtomicInteger underWay = new AtomicInteger();
    final AtomicInteger mostUnderWay = new AtomicInteger();
    final List<Received> received = new CopyOnWriteArrayList<>();
    private volatile Script script;

    ScriptedServer(Script script) throws IOException {
        this.script = script;
        server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.setExecutor(threads);
        server.createContext("/", this::handle);
        server.start();
    }

    static Script status(int status) {
        return request -> new Reply(status, null);
    }

    static Script refusing(ItemScript items) {
        return request -> new Reply(200, items);
    }

    /** The first requests as given, the others accepted. */
    static Script firstThenAccept(int count, Script first) {
        return request -> request.number() < count ? first.reply(request) : ACCEPT.reply(request);
    }

    void setScript(Script script) {
        this.script = script;
    }

    String url() {
        return "http://127.0.0.1:" + server.getAddress().getPort();
    }

    /** What is in an index, by id. */
    Map<String, JsonNode> documents(String index) {
        Map<String, JsonNode> found = new TreeMap<>();
        synchronized (documents) {
            documents.forEach((key, source) -> {
                if (key.startsWith(index + "/")) {
                    found.put(key.substring(index.length() + 1), source);
                }
            });
        }
        return found;
    }

    /** Another writer makes an empty document. */
    void create(String index, String id) {
        synchronized (documents) {
            documents.put(index + "/" + id, ElasticsearchServer.JSON.createObjectNode());
        }
    }

    private void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            byte[] body = exchange.getRequestBody().readAllBytes();
            Received request = new Received(
                    number.getAndIncrement(),
                    System.nanoTime() / 1_000_000,
                    exchange.getRequestURI().getPath(),
                    exchange.getRequestHeaders(),
                    body.length,
                    items(body, "gzip".equals(exchange.getRequestHeaders().getFirst("Content-Encoding"))));
            received.add(request);
            Reply reply = reply(request);
            if (reply.status() == 0) {
                return;
            }
            String text = reply.status() == 200
                    ? execute(request, reply.items())
                    : "{\"error\":\"scripted\",\"status\":" + reply.status() + "}";
            byte[] answer = text.getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(reply.status(), answer.length);
            exchange.getResponseBody().write(answer);
        }
    }

    private Reply reply(Received request) throws IOException {
        mostUnderWay.accumulateAndGet(underWay.incrementAndGet(), Math::max);
        try {
            return script.reply(request);
        } catch (Exception e) {
            throw new IOException("The script failed.", e);
        } finally {
            underWay.decrementAndGet();
        }
    }

    private static List<Item> items(byte[] body, boolean gzip) throws IOException {
        List<Item> items = new ArrayList<>();
        InputStream in = new ByteArrayInputStream(body);
        String text = new String((gzip ? new GZIPInputStream(in) : in).readAllBytes(), StandardCharsets.UTF_8);
        String[] lines = text.split("\n", -1);
        int i = 0;
        while (i < lines.length - 1) {
            JsonNode line = ElasticsearchServer.JSON.readTree(lines[i++]);
            String action = line.fieldNames().next();
            JsonNode meta = line.get(action);
            JsonNode source = action.equals("delete") ? null : ElasticsearchServer.JSON.readTree(lines[i++]);
            items.add(new Item(action, meta.get("_index").asText(), meta.get("_id").asText(), source));
        }
        return items;
    }

    private String execute(Received request, ItemScript script) {
        StringBuilder items = new StringBuilder();
        boolean errors = false;
        synchronized (documents) {
            for (Item item : request.items()) {
                String key = item.index() + "/" + item.id();
                boolean update = item.action().equals("update");
                boolean missing = update && !documents.containsKey(key) && !item.source().has("doc_as_upsert");
                Refused refused = script.refuse(item);
                if (refused == null && missing) {
                    refused = new Refused(404, "document_missing_exception");
                }
                int status = 200;
                String error = "";
                if (refused != null) {
                    errors = true;
                    status = refused.status();
                    error = ",\"error\":{\"type\":\"" + refused.type() + "\",\"reason\":\"scripted\"}";
                } else if (update) {
                    ObjectNode document = ElasticsearchServer.JSON.createObjectNode();
                    if (documents.get(key) instanceof ObjectNode held) {
                        document.setAll(held);
                    }
                    documents.put(key, document.setAll((ObjectNode) item.source().get("doc")));
                } else if (item.source() != null) {
                    documents.put(key, item.source());
                } else if (documents.remove(key) == null) {
                    status = 404;
                }
                items.append(items.isEmpty() ? "" : ",").append("{\"").append(item.action()).append("\":{\"status\":")
                        .append(status).append(error).append("}}");
            }
        }
        return "{\"errors\":" + errors + ",\"took\":1,\"items\":[" + items + "]}";
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }
}
