package org.crowdpulse.flink.elasticsearch;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.security.cert.CertificateException;
import java.util.function.Consumer;
import javax.net.ssl.SSLPeerUnverifiedException;
import org.apache.flink.util.ExceptionUtils;
import org.apache.http.Header;
import org.apache.http.HttpHost;
import org.apache.http.entity.ContentType;
import org.apache.http.impl.nio.reactor.IOReactorConfig;
import org.apache.http.message.BasicHeader;
import org.apache.http.nio.entity.NByteArrayEntity;
import org.elasticsearch.client.Cancellable;
import org.elasticsearch.client.Request;
import org.elasticsearch.client.Response;
import org.elasticsearch.client.ResponseException;
import org.elasticsearch.client.ResponseListener;
import org.elasticsearch.client.RestClient;
import org.elasticsearch.client.RestClientBuilder;

/** Sends bulk requests with Elastic's low-level client, and says in our terms what became of them. */
final class BulkClient implements Closeable {

    private static final ContentType NDJSON = ContentType.create("application/x-ndjson");
    private static final String ANSWER_FIELDS = "errors,items.*.status,items.*.error";

    private final SinkConfig config;
    private RestClient client;

    BulkClient(SinkConfig config) {
        this.config = config;
        this.client = connect(config);
    }

    private static RestClient connect(SinkConfig config) {
        HttpHost[] hosts = config.hosts().stream().map(HttpHost::create).toArray(HttpHost[]::new);
        RestClientBuilder builder = RestClient.builder(hosts)
                .setMetaHeaderEnabled(false)
                .setRequestConfigCallback(request -> request
                        .setConnectTimeout(config.connectTimeout())
                        .setSocketTimeout(config.socketTimeout())
                        .setConnectionRequestTimeout(config.requestTimeout()))
                .setHttpClientConfigCallback(http -> {
                    http.setDefaultIOReactorConfig(
                            IOReactorConfig.custom().setIoThreadCount(1).setSoKeepAlive(true).build());
                    http.setMaxConnPerRoute(config.maxInFlight());
                    http.setMaxConnTotal(config.maxInFlight() * hosts.length);
                    if (config.encrypted()) {
                        Certificates.configure(http, config);
                    }
                    return http;
                });
        if (config.pathPrefix() != null) {
            builder.setPathPrefix(config.pathPrefix());
        }
        if (config.authorization() != null) {
            builder.setDefaultHeaders(new Header[] {new BasicHeader("Authorization", config.authorization())});
        }
        return builder.build();
    }

    /**
     * Sends one bulk request. The answer is given, once, on a thread of the client.
     *
     * @param entries how many entries the body has
     */
    Cancellable send(byte[] body, int length, int entries, Consumer<BulkAnswer> answer) {
        if (!client.isRunning()) {
            reconnect();
        }
        Request request = new Request("POST", "/_bulk");
        request.addParameter("filter_path", ANSWER_FIELDS);
        int patience = Math.min(config.socketTimeout(), config.requestTimeout());
        // How long the server waits for an index, a mapping or a shard: it can say in time that one is missing. It does
        // not bound the execution, which may go on after we have given up.
        request.addParameter("timeout", Math.max(1, patience / 2) + "ms");
        NByteArrayEntity entity = new NByteArrayEntity(body, 0, length, NDJSON);
        if (config.gzip()) {
            entity.setContentEncoding("gzip");
        }
        request.setEntity(entity);
        return client.performRequestAsync(request, new ResponseListener() {
            @Override
            public void onSuccess(Response response) {
                try (InputStream content = response.getEntity().getContent()) {
                    answer.accept(BulkAnswer.parse(content, entries));
                } catch (IOException | RuntimeException e) {
                    answer.accept(BulkAnswer.unavailable(0, String.valueOf(e.getMessage())));
                }
            }

            @Override
            public void onFailure(Exception exception) {
                answer.accept(failure(exception));
            }
        });
    }

    private static BulkAnswer failure(Exception exception) {
        if (exception instanceof ResponseException refused) {
            int status = refused.getResponse().getStatusLine().getStatusCode();
            String reason = exception.getMessage();
            if (status == 400 || status == 413) {
                return BulkAnswer.unacceptable(status, reason);
            }
            boolean transientStatus = status >= 500 || status == 429 || status == 408;
            return transientStatus ? BulkAnswer.unavailable(status, reason) : BulkAnswer.hopeless(status, reason);
        }
        if (ExceptionUtils.findThrowable(exception, CertificateException.class).isPresent()
                || ExceptionUtils.findThrowable(exception, SSLPeerUnverifiedException.class).isPresent()) {
            return BulkAnswer.hopeless(0, "The certificate of the server is not trusted: " + exception.getMessage());
        }
        return BulkAnswer.unavailable(0, exception.toString());
    }

    /** The client's own thread can die, of memory for one; it does not come back by itself. */
    private void reconnect() {
        try {
            client.close();
        } catch (IOException e) {
            // What is broken need not close well.
        }
        client = connect(config);
    }

    @Override
    public void close() throws IOException {
        client.close();
    }
}
