package org.crowdpulse.flink.elasticsearch;

import java.util.random.RandomGenerator;

/**
 * How many requests may be under way, and how long to wait after a failure: a random time up to a bound that doubles
 * with each failure in a row ("full jitter"). After a failure one request at a time tries; each success allows one
 * more.
 */
final class BackOff {

    private final int maxInFlight;
    private final long initialDelay;
    private final long maxDelay;
    private final RandomGenerator random;

    private int allowed;
    private int failures;
    private boolean paused;

    /**
     * @param initialDelay bound of the first delay, in milliseconds
     * @param maxDelay largest bound, in milliseconds
     */
    BackOff(int maxInFlight, long initialDelay, long maxDelay, RandomGenerator random) {
        this.maxInFlight = maxInFlight;
        this.initialDelay = initialDelay;
        this.maxDelay = maxDelay;
        this.random = random;
        this.allowed = maxInFlight;
    }

    /** Whether another request may be sent while {@code inFlight} are under way. */
    boolean allows(int inFlight) {
        return !paused && inFlight < allowed;
    }

    /** Whether the last thing heard of the server was a failure. */
    boolean failing() {
        return failures > 0;
    }

    boolean paused() {
        return paused;
    }

    /** Begins a pause, and returns its length in milliseconds. Must not be called during a pause. */
    long pause() {
        paused = true;
        allowed = 1;
        return random.nextLong(bound(failures++) + 1);
    }

    /** Largest delay, in milliseconds, after so many failures before. */
    long bound(int failuresBefore) {
        int doublings = Math.min(failuresBefore, 40);
        return initialDelay >= maxDelay >> doublings ? maxDelay : initialDelay << doublings;
    }

    void resume() {
        paused = false;
    }

    void succeeded() {
        failures = 0;
        allowed = Math.min(maxInFlight, allowed + 1);
    }
}
