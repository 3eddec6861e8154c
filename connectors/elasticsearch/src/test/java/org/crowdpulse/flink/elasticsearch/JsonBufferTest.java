package org.crowdpulse.flink.elasticsearch;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.HexFormat;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Text, numbers and times as JSON. */
class JsonBufferTest {

    private final JsonBuffer out = new JsonBuffer();

    @Test
    void everyCharacterReadsBackAsItWas() throws Exception {
        StringBuilder text = new StringBuilder();
        for (int c = 0; c < 0x3000; c++) {
            text.append((char) c);
        }
        text.append("日本語 😀 \u2028 \ufffd \uffff").appendCodePoint(0x10ffff);
        out.quoted(text.toString());
        assertThat(ElasticsearchServer.JSON.readTree(out.toBytes()).asText()).isEqualTo(text.toString());
        assertThat(out.toText()).doesNotContain("\n");
    }

    /** Overlong forms, lone continuations, surrogates, what is beyond Unicode, and sequences that are cut off. */
    @ParameterizedTest
    @CsvSource({
        "61 80 62, a�b",
        "61 c0 af 62, a��b",
        "61 c3, a�",
        "61 e0 80 af 62, a���b",
        "61 ed a0 80 62, a���b",
        "61 e2 82, a��",
        "61 f0 80 80 80 62, a����b",
        "61 f4 90 80 80 62, a����b",
        "61 f8 88 80 80 80 62, a�����b",
        "61 ff 62, a�b",
        "61 f0 9f 98 80 62, a😀b",
    })
    void whatIsNotUtf8IsReplaced(String bytes, String expected) {
        out.escaped(HexFormat.of().parseHex(bytes.replace(" ", "")));
        assertThat(out.toText()).isEqualTo(expected);
    }

    @Test
    void randomBytesAlwaysGiveJson() throws Exception {
        Random random = new Random(1);
        for (int i = 0; i < 2000; i++) {
            byte[] bytes = new byte[random.nextInt(40)];
            random.nextBytes(bytes);
            out.clear();
            out.raw('"');
            out.escaped(bytes);
            out.raw('"');
            String text = new String(out.toBytes(), StandardCharsets.UTF_8);
            assertThat(text.getBytes(StandardCharsets.UTF_8)).isEqualTo(out.toBytes());
            assertThat(ElasticsearchServer.JSON.readTree(text).isTextual()).isTrue();
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 9, 10, -1, -10, 1234567890123L, Long.MAX_VALUE, Long.MIN_VALUE})
    void numbersAreWrittenInFull(long value) {
        out.number(value);
        assertThat(out.toText()).isEqualTo(Long.toString(value));
    }

    @ParameterizedTest
    @CsvSource({
        "2024-02-29T23:59:59.123456789, 0, 2024-02-29T23:59:59.123",
        "2024-02-29T23:59:59.123456789, 3, 2024-02-29T23:59:59.123",
        "2024-02-29T23:59:59.123456789, 6, 2024-02-29T23:59:59.123456",
        "2024-02-29T23:59:59.123456789, 9, 2024-02-29T23:59:59.123456789",
        "1969-12-31T23:59:59.999, 3, 1969-12-31T23:59:59.999",
        "0001-01-01T00:00, 3, 0001-01-01T00:00:00.000",
        "9999-12-31T00:00:00.001, 3, 9999-12-31T00:00:00.001",
    })
    void timestampsHaveMilliseconds(LocalDateTime time, int precision, String expected) {
        long millis = time.toInstant(ZoneOffset.UTC).toEpochMilli();
        out.timestamp(millis, time.getNano() % 1_000_000, precision);
        assertThat(out.toText()).isEqualTo(expected);
    }
}
