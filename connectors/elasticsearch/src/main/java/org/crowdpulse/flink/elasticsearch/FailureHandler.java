package org.crowdpulse.flink.elasticsearch;

import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Base64;
import java.util.Locale;
import org.apache.flink.table.api.ValidationException;
import org.crowdpulse.flink.elasticsearch.BulkEntry.Operation;

/**
 * What happens to a document that is refused for good.
 *
 * @param kind fail, ignore or index
 * @param index where {@link Kind#INDEX} writes; else null
 */
record FailureHandler(Kind kind, String index) implements Serializable {

    /** Stop the job, go on without the document, or keep it in an index. */
    enum Kind {
        FAIL,
        IGNORE,
        INDEX
    }

    static FailureHandler parse(String option) {
        String value = option.trim();
        if (value.equals("fail")) {
            return new FailureHandler(Kind.FAIL, null);
        }
        if (value.equals("ignore")) {
            return new FailureHandler(Kind.IGNORE, null);
        }
        if (value.startsWith("index:") && value.length() > 6) {
            String name = value.substring(6).trim();
            if (name.isEmpty() || name.contains("{") || !name.equals(name.toLowerCase(Locale.ROOT))) {
                throw new ValidationException("The option 'sink.failure-handler' = '" + option
                        + "' is wrong: the index must be a fixed name in lower case.");
            }
            return new FailureHandler(Kind.INDEX, name);
        }
        throw new ValidationException("The option 'sink.failure-handler' = '" + option
                + "' is wrong: it must be 'fail', 'ignore' or 'index:<name>'.");
    }

    /**
     * A document about a refused one. Its id follows from what was refused, so a replay does not double it.
     *
     * @param now milliseconds since 1970
     * @param maxSource longest source to keep, in characters
     */
    BulkEntry document(BulkEntry refused, Refusal refusal, long now, int maxSource) {
        String source = refused.source();
        String id = digest((refused.index + '\n' + (refused.shared ? refused.id : "") + '\n' + source)
                .getBytes(StandardCharsets.UTF_8));
        JsonBuffer out = new JsonBuffer();
        RowConverter.writeAction(out, Operation.INDEX_REFUSED, index, id);
        int sourceStart = out.length();
        out.raw("{\"index\":");
        out.quoted(String.valueOf(refused.index));
        out.raw(",\"id\":");
        out.quoted(refused.id);
        out.raw(",\"operation\":");
        out.quoted(refused.operation.action);
        out.raw(",\"error_type\":");
        out.quoted(refusal.type());
        out.raw(",\"reason\":");
        out.quoted(refusal.reason());
        out.raw(",\"status\":");
        out.number(refusal.status());
        out.raw(",\"source\":");
        if (source == null) {
            out.raw("null");
        } else {
            out.quoted(source.length() > maxSource ? source.substring(0, maxSource) : source);
        }
        out.raw(",\"source_bytes\":");
        out.number(refused.sourceSize());
        out.raw(",\"time\":\"");
        out.timestamp(now, 0, 3);
        out.raw("Z\"}\n");
        return new BulkEntry(Operation.INDEX_REFUSED, index, id, true, out.toBytes(), sourceStart);
    }

    /** SHA-256 of some bytes, in 43 letters and digits that need no escape. */
    static String digest(byte[] bytes) {
        try {
            byte[] hash = MessageDigest.getInstance("SHA-256").digest(bytes);
            return Base64.getUrlEncoder().withoutPadding().encodeToString(hash);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("Java always has SHA-256.", e);
        }
    }

    /**
     * Why a document was refused.
     *
     * @param status HTTP status of the document, or of the request
     * @param type Elasticsearch's name of the error, or ours
     * @param reason the error as a sentence
     */
    record Refusal(int status, String type, String reason) {}
}
