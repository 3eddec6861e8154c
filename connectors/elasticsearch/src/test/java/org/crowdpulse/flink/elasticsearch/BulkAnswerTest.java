package org.crowdpulse.flink.elasticsearch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.crowdpulse.flink.elasticsearch.FailureHandler.Refusal;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What Elasticsearch says about each item. */
class BulkAnswerTest {

    private static BulkAnswer parse(String json, int entries) throws IOException {
        return BulkAnswer.parse(new ByteArrayInputStream(json.getBytes(StandardCharsets.UTF_8)), entries);
    }

    @Test
    void withoutErrorsTheItemsAreNotRead() throws Exception {
        assertThat(parse("{\"errors\":false,\"items\":[not even JSON", 7).failed()).isEmpty();
    }

    @Test
    void failedItemsKeepTheirPositionAndTheirWholeReason() throws Exception {
        BulkAnswer answer = parse("""
                {"errors":true,"took":3,"items":[
                 {"index":{"_index":"a","status":201,"_shards":{"total":1}}},
                 {"index":{"status":400,"error":{"type":"document_parsing_exception","reason":"failed to parse",
                  "caused_by":{"type":"x","reason":"For input string: 'y'","caused_by":{"reason":"deeper"}}}}},
                 {"delete":{"status":404,"result":"not_found"}},
                 {"delete":{"status":404,"error":{"type":"index_not_found_exception","reason":"no such index"}}},
                 {"index":{"error":{"reason":null,"type":"es_rejected","root_cause":[{}]},"status":429}},
                 {"index":{"status":404,"error":{"type":"index_not_found_exception","reason":"none"}}},
                 {"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"exists"}}},
                 {"update":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"x"}}}]}""", 8);
        assertThat(answer.failed()).containsOnlyKeys(1, 4, 5, 7);
        assertThat(answer.failed().get(1)).isEqualTo(new Refusal(
                400, "document_parsing_exception", "failed to parse: For input string: 'y': deeper"));
        assertThat(answer.failed().get(4)).isEqualTo(new Refusal(429, "es_rejected", "no reason given"));
        assertThat(answer.failed().get(5).status()).isEqualTo(404);
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "",
        "[]",
        "<html>",
        "{\"errors\":true}",
        "{\"errors\":true,\"items\":[{\"index\":{\"status\":200}}]}",
        "{\"errors\":true,\"items\":[{\"index\":{\"status\":200}},{\"index\":{\"st",
        "{}",
    })
    void whatIsNoAnswerIsNotTakenForSuccess(String json) {
        assertThatThrownBy(() -> parse(json, 2)).isInstanceOf(IOException.class);
    }
}
