package org.crowdpulse.flink.elasticsearch;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Pauses after failures, and how many requests follow them. */
class BackOffTest {

    private static BackOff backOff(int maxInFlight, long initialDelay, long maxDelay) {
        return new BackOff(maxInFlight, initialDelay, maxDelay, new Random(3));
    }

    @Test
    void theBoundOfTheDelayDoublesUpToTheLargest() {
        List<Long> longest = new ArrayList<>();
        for (int failures = 1; failures <= 60; failures++) {
            long longestDelay = 0;
            for (int seed = 0; seed < 300; seed++) {
                BackOff backOff = new BackOff(4, 100, 2000, new Random(seed * 7919L));
                long delay = 0;
                for (int i = 0; i < failures; i++) {
                    delay = backOff.pause();
                    backOff.resume();
                }
                longestDelay = Math.max(longestDelay, delay);
            }
            longest.add(longestDelay);
        }
        assertThat(longest.get(0)).isBetween(90L, 100L);
        assertThat(longest.get(1)).isBetween(180L, 200L);
        assertThat(longest.get(2)).isBetween(360L, 400L);
        assertThat(longest.subList(5, 60)).allMatch(delay -> delay >= 1800 && delay <= 2000);
    }

    @Test
    void delaysAreSpreadOverTheWholeTime() {
        BackOff backOff = backOff(4, 1000, 1000);
        int[] quarters = new int[4];
        for (int i = 0; i < 400; i++) {
            quarters[(int) Math.min(3, backOff.pause() / 250)]++;
            backOff.resume();
        }
        assertThat(Arrays.stream(quarters)).allMatch(count -> count > 60);
    }

    @Test
    void nothingIsSentDuringAPause() {
        BackOff backOff = backOff(4, 100, 2000);
        assertThat(backOff.allows(3)).isTrue();
        assertThat(backOff.allows(4)).isFalse();
        backOff.pause();
        assertThat(backOff.allows(0)).isFalse();
        backOff.resume();
        assertThat(backOff.allows(0)).isTrue();
    }

    @Test
    void afterAFailureOneRequestTriesAndEachSuccessAllowsOneMore() {
        BackOff backOff = backOff(3, 100, 2000);
        backOff.pause();
        backOff.resume();
        assertThat(backOff.failing()).isTrue();
        assertThat(backOff.allows(1)).isFalse();
        backOff.succeeded();
        assertThat(backOff.failing()).isFalse();
        assertThat(backOff.allows(1)).isTrue();
        assertThat(backOff.allows(2)).isFalse();
        backOff.succeeded();
        backOff.succeeded();
        assertThat(backOff.allows(2)).isTrue();
        assertThat(backOff.allows(3)).isFalse();
    }
}
