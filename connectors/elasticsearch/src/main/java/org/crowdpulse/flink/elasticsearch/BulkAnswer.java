package org.crowdpulse.flink.elasticsearch;

import java.io.IOException;
import java.io.InputStream;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonFactory;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParser;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonToken;
import org.crowdpulse.flink.elasticsearch.FailureHandler.Refusal;

/**
 * What became of a bulk request.
 *
 * @param kind of the whole request
 * @param reason of anything but {@link Kind#ANSWERED}, as a sentence
 * @param status HTTP status, 0 when there was no answer
 * @param failed the items that were not executed, by position
 */
record BulkAnswer(Kind kind, String reason, int status, Map<Integer, Refusal> failed) {

    /** What can be done about the request as a whole. */
    enum Kind {
        /** The server executed the request; some items may have failed. */
        ANSWERED,
        /** The server could not be reached or could not answer: to be sent again. */
        UNAVAILABLE,
        /** The server does not take this request as a whole: to be sent in parts. */
        UNACCEPTABLE,
        /** Sending it again will not help, if it never helped before: wrong credentials, certificate or address. */
        HOPELESS
    }

    private static final JsonFactory JSON = new JsonFactory();

    static BulkAnswer unavailable(int status, String reason) {
        return new BulkAnswer(Kind.UNAVAILABLE, reason, status, Map.of());
    }

    static BulkAnswer unacceptable(int status, String reason) {
        return new BulkAnswer(Kind.UNACCEPTABLE, reason, status, Map.of());
    }

    static BulkAnswer hopeless(int status, String reason) {
        return new BulkAnswer(Kind.HOPELESS, reason, status, Map.of());
    }

    /** Reads the body of a successful bulk request; the items only when there are errors. */
    static BulkAnswer parse(InputStream body, int entries) throws IOException {
        try (JsonParser json = JSON.createParser(body)) {
            Map<Integer, Refusal> failed = new HashMap<>();
            int items = -1;
            expect(json.nextToken(), JsonToken.START_OBJECT);
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                String name = json.currentName();
                JsonToken value = json.nextToken();
                if (name.equals("errors") && value == JsonToken.VALUE_FALSE) {
                    return new BulkAnswer(Kind.ANSWERED, null, 200, Map.of());
                } else if (name.equals("items")) {
                    items = items(json, failed);
                } else {
                    json.skipChildren();
                }
            }
            if (items != entries) {
                throw new IOException("Elasticsearch answered " + items
                        + " items to a bulk request of " + entries + ".");
            }
            return new BulkAnswer(Kind.ANSWERED, null, 200, failed);
        }
    }

    private static int items(JsonParser json, Map<Integer, Refusal> failed) throws IOException {
        int position = 0;
        while (json.nextToken() == JsonToken.START_OBJECT) {
            json.nextToken();
            String action = json.currentName();
            json.nextToken();
            Refusal failure = item(json);
            boolean alreadyGone = action.equals("delete") && failure.status() == 404;
            boolean alreadyThere = action.equals("create") && failure.status() == 409;
            if (failure.status() >= 300 && !alreadyGone && !alreadyThere) {
                failed.put(position, failure);
            }
            expect(json.nextToken(), JsonToken.END_OBJECT);
            position++;
        }
        return position;
    }

    private static Refusal item(JsonParser json) throws IOException {
        int status = 0;
        String type = "unknown";
        String reason = "no reason given";
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            String name = json.currentName();
            JsonToken value = json.nextToken();
            if (name.equals("status")) {
                status = json.getIntValue();
            } else if (name.equals("error") && value == JsonToken.START_OBJECT) {
                String[] error = error(json);
                type = error[0];
                reason = error[1];
            } else {
                json.skipChildren();
            }
        }
        return new Refusal(status, type, reason);
    }

    /** Type and reason of an error, with the reasons of its causes. */
    private static String[] error(JsonParser json) throws IOException {
        String type = "unknown";
        String reason = "no reason given";
        String cause = null;
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            String name = json.currentName();
            JsonToken value = json.nextToken();
            if (name.equals("type")) {
                type = json.getText();
            } else if (name.equals("reason") && value == JsonToken.VALUE_STRING) {
                reason = json.getText();
            } else if (name.equals("caused_by") && value == JsonToken.START_OBJECT) {
                cause = error(json)[1];
            } else {
                json.skipChildren();
            }
        }
        return new String[] {type, cause == null ? reason : reason + ": " + cause};
    }

    private static void expect(JsonToken token, JsonToken expected) throws IOException {
        if (token != expected) {
            throw new IOException("The answer to a bulk request is not what Elasticsearch sends: " + token);
        }
    }
}
