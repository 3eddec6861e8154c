package org.crowdpulse.flink.elasticsearch;

import java.nio.charset.StandardCharsets;
import java.time.LocalDate;
import java.util.Arrays;

/** A growing array of bytes that JSON is written to, reused from document to document. Not thread-safe. */
final class JsonBuffer {

    private static final byte[] HEX = "0123456789abcdef".getBytes(StandardCharsets.US_ASCII);
    private static final long MILLIS_PER_DAY = 86_400_000L;

    private byte[] bytes = new byte[1024];
    private int length;

    private long lastDay = Long.MIN_VALUE;
    private byte[] lastDayText;

    int length() {
        return length;
    }

    void clear() {
        length = 0;
    }

    byte[] toBytes() {
        return Arrays.copyOf(bytes, length);
    }

    String toText() {
        return new String(bytes, 0, length, StandardCharsets.UTF_8);
    }

    void raw(char ascii) {
        reserve(1);
        bytes[length++] = (byte) ascii;
    }

    void raw(byte[] text) {
        reserve(text.length);
        System.arraycopy(text, 0, bytes, length, text.length);
        length += text.length;
    }

    void raw(String text) {
        raw(text.getBytes(StandardCharsets.UTF_8));
    }

    void quoted(String text) {
        raw('"');
        escaped(text.getBytes(StandardCharsets.UTF_8));
        raw('"');
    }

    /** Writes UTF-8 as the inside of a JSON string. What is not UTF-8 becomes U+FFFD, so that JSON stays JSON. */
    void escaped(byte[] utf8) {
        reserve(utf8.length);
        int copied = 0;
        int i = 0;
        while (i < utf8.length) {
            int b = utf8[i];
            if (b >= 0x20 && b != '"' && b != '\\') {
                i++;
                continue;
            }
            int sequence = b < 0 ? sequenceLength(utf8, i) : 0;
            if (sequence > 0) {
                i += sequence;
                continue;
            }
            copy(utf8, copied, i);
            if (b < 0) {
                raw("\ufffd");
            } else {
                escape(b);
            }
            i++;
            copied = i;
        }
        copy(utf8, copied, utf8.length);
    }

    private void copy(byte[] from, int start, int end) {
        reserve(end - start);
        System.arraycopy(from, start, bytes, length, end - start);
        length += end - start;
    }

    private void escape(int b) {
        raw('\\');
        switch (b) {
            case '"', '\\' -> raw((char) b);
            case '\n' -> raw('n');
            case '\r' -> raw('r');
            case '\t' -> raw('t');
            default -> {
                raw('u');
                raw('0');
                raw('0');
                raw((char) HEX[b >> 4]);
                raw((char) HEX[b & 15]);
            }
        }
    }

    /** Length in bytes of the well-formed UTF-8 sequence that begins at {@code i}; 0 if there is none. */
    private static int sequenceLength(byte[] utf8, int i) {
        int first = utf8[i] & 0xff;
        int count = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
        if (first < 0xc2 || first > 0xf4 || i + count > utf8.length) {
            return 0;
        }
        for (int k = 1; k < count; k++) {
            if ((utf8[i + k] & 0xc0) != 0x80) {
                return 0;
            }
        }
        int second = utf8[i + 1] & 0xff;
        boolean overlong = first == 0xe0 && second < 0xa0 || first == 0xf0 && second < 0x90;
        boolean surrogate = first == 0xed && second >= 0xa0;
        boolean beyondUnicode = first == 0xf4 && second >= 0x90;
        return overlong || surrogate || beyondUnicode ? 0 : count;
    }

    void number(long value) {
        if (value < 0) {
            if (value == Long.MIN_VALUE) {
                raw(Long.toString(value));
                return;
            }
            raw('-');
            value = -value;
        }
        int digits = 1;
        for (long rest = value / 10; rest > 0; rest /= 10) {
            digits++;
        }
        padded(value, digits);
    }

    private void padded(long value, int digits) {
        reserve(digits);
        for (int i = length + digits - 1; i >= length; i--) {
            bytes[i] = (byte) ('0' + value % 10);
            value /= 10;
        }
        length += digits;
    }

    /** Writes {@code yyyy-MM-dd}. */
    void date(long epochDay) {
        if (epochDay != lastDay) {
            lastDayText = LocalDate.ofEpochDay(epochDay).toString().getBytes(StandardCharsets.US_ASCII);
            lastDay = epochDay;
        }
        raw(lastDayText);
    }

    /** Writes {@code HH:mm:ss} and as many digits of the second as the precision asks for. */
    void time(int millisOfDay, int nanosOfMilli, int precision) {
        int seconds = millisOfDay / 1000;
        padded(seconds / 3600, 2);
        raw(':');
        padded(seconds / 60 % 60, 2);
        raw(':');
        padded(seconds % 60, 2);
        if (precision > 0) {
            raw('.');
            padded(millisOfDay % 1000, 3);
        }
        if (precision > 6) {
            padded(nanosOfMilli, 6);
        } else if (precision > 3) {
            padded(nanosOfMilli / 1000, 3);
        }
    }

    /** Writes {@code yyyy-MM-dd'T'HH:mm:ss.SSS}, with 6 or 9 digits of the second where the precision has them. */
    void timestamp(long epochMillis, int nanosOfMilli, int precision) {
        date(Math.floorDiv(epochMillis, MILLIS_PER_DAY));
        raw('T');
        time((int) Math.floorMod(epochMillis, MILLIS_PER_DAY), nanosOfMilli, Math.max(3, precision));
    }

    private void reserve(int more) {
        if (more > bytes.length - length) {
            bytes = Arrays.copyOf(bytes, Math.max(length + more, bytes.length * 2));
        }
    }
}
