package org.crowdpulse.flink.elasticsearch;

import java.io.Serializable;
import java.util.List;

/**
 * The checked settings of one sink, as they travel with the job. Times are in milliseconds, sizes in bytes.
 *
 * @param authorization value of the Authorization header, or null
 * @param fingerprint SHA-256 of a certificate to trust, or null
 * @param certificateAuthorities PEM text of the authorities to trust, or null for those of Java
 * @param maxAttempts how often a document is sent again, -1 for ever
 * @param missingTimeout how long an update waits for its document
 */
record SinkConfig(
        List<String> hosts,
        String authorization,
        byte[] fingerprint,
        byte[] certificateAuthorities,
        String pathPrefix,
        int connectTimeout,
        int requestTimeout,
        int socketTimeout,
        int maxActions,
        int maxSize,
        long interval,
        boolean gzip,
        int maxInFlight,
        int maxBuffered,
        int maxAttempts,
        long initialDelay,
        long maxDelay,
        long missingTimeout,
        FailureHandler failureHandler)
        implements Serializable {

    boolean encrypted() {
        return hosts.get(0).startsWith("https:");
    }
}
