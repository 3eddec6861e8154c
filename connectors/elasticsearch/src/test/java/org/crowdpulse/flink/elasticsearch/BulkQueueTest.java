package org.crowdpulse.flink.elasticsearch;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.crowdpulse.flink.elasticsearch.BulkEntry.Operation;
import org.crowdpulse.flink.elasticsearch.BulkQueue.Slot;
import org.junit.jupiter.api.Test;

/** Order, limits, and one entry of a document at a time. */
class BulkQueueTest {

    private final BulkQueue queue = new BulkQueue();

    private static BulkEntry entry(String id, String text) {
        return new BulkEntry(Operation.INDEX, "index", id, true, text.getBytes(StandardCharsets.UTF_8), 0);
    }

    private void add(String id, String text) {
        queue.add(entry(id, text));
    }

    private static String texts(List<Slot> slots) {
        return String.join(" ", slots.stream().map(slot -> text(slot.entry())).toList());
    }

    private static String text(BulkEntry entry) {
        return new String(entry.bytes, StandardCharsets.UTF_8);
    }

    @Test
    void entriesAreTakenInOrderWithinTheLimits() {
        add("a", "a111");
        add("b", "b111");
        add("c", "c111111111");
        add("d", "d111");
        assertThat(queue.readyBytes()).isEqualTo(22);
        assertThat(texts(queue.take(3, 10))).isEqualTo("a111 b111");
        assertThat(texts(queue.take(3, 10))).isEqualTo("c111111111");
        assertThat(texts(queue.take(3, 10))).isEqualTo("d111");
        assertThat(queue.take(3, 10)).isEmpty();
        assertThat(queue.readyBytes()).isZero();
    }

    @Test
    void anEntryLargerThanTheLimitIsTakenAlone() {
        add("a", "a1111111");
        add("b", "b1");
        assertThat(texts(queue.take(3, 4))).isEqualTo("a1111111");
    }

    @Test
    void halvesOfARequestStayApartUntilTheyAreTaken() {
        for (String text : List.of("a1", "b1", "c1", "d1", "e1", "f1")) {
            add(text.substring(0, 1), text);
        }
        List<Slot> refused = queue.take(5, 100);
        add("c", "c2");
        queue.retryInHalves(refused);
        List<Slot> first = queue.take(5, 100);
        assertThat(texts(first)).isEqualTo("a1 b1");
        queue.retry(first);
        assertThat(texts(queue.take(5, 100))).as("turned away for another reason").isEqualTo("a1 b1");
        List<Slot> second = queue.take(5, 100);
        assertThat(texts(second)).isEqualTo("c2 d1 e1");
        add("e", "e2");
        second.forEach(queue::done);
        assertThat(texts(queue.take(5, 100))).isEqualTo("f1 e2");
    }

    @Test
    void aLaterEntryReplacesOneThatWaits() {
        add("a", "a1");
        add("b", "b1");
        add("a", "a2222");
        assertThat(queue.size()).isEqualTo(2);
        assertThat(queue.readyBytes()).isEqualTo(7);
        assertThat(texts(queue.take(10, 100))).isEqualTo("a2222 b1");
    }

    @Test
    void aLaterEntryIsHeldBackWhileOneIsUnderWay() {
        add("a", "a1");
        List<Slot> first = queue.take(10, 100);
        add("a", "a2");
        add("a", "a333");
        add("b", "b1");
        assertThat(queue.size()).isEqualTo(2);
        assertThat(queue.bytes()).isEqualTo(6);
        assertThat(queue.ready()).isEqualTo(1);
        assertThat(texts(queue.take(10, 100))).isEqualTo("b1");
        queue.done(first.get(0));
        assertThat(texts(queue.take(10, 100))).isEqualTo("a333");
        assertThat(queue.size()).isZero();
        assertThat(queue.bytes()).isZero();
    }

    @Test
    void whatMustBeSentAgainComesFirstAndInOrder() {
        add("a", "a1");
        add("b", "b1");
        add("c", "c1");
        List<Slot> first = queue.take(10, 100);
        add("d", "d1");
        add("b", "b2");
        queue.retry(first);
        assertThat(queue.size()).isEqualTo(4);
        assertThat(queue.readyBytes()).isEqualTo(8);
        assertThat(texts(queue.take(10, 100))).isEqualTo("a1 b2 c1 d1");
    }

    @Test
    void documentsOfTheSameIdInTwoIndicesAreTwo() {
        queue.add(new BulkEntry(Operation.INDEX, "x", "a", true, new byte[1], 0));
        queue.add(new BulkEntry(Operation.INDEX, "y", "a", true, new byte[1], 0));
        assertThat(queue.take(10, 100)).hasSize(2);
    }

    @Test
    void nothingIsRememberedOfADocumentThatIsDone() {
        add("a", "a1");
        queue.done(queue.take(1, 100).get(0));
        add("a", "a2");
        assertThat(texts(queue.take(1, 100))).isEqualTo("a2");
    }

    private void add(Operation operation, String id, String text) {
        queue.add(new BulkEntry(operation, "index", id, true, text.getBytes(StandardCharsets.UTF_8), 0));
    }

    /** What a merge leaves as it is must have been written before it. */
    @Test
    void aMergeFollowsWhatWasWrittenBefore() {
        add(Operation.DELETE, "a", "a0");
        add(Operation.MERGE, "a", "a1");
        add(Operation.MERGE, "a", "a2");
        add(Operation.MERGE, "b", "b1");
        assertThat(queue.size()).isEqualTo(4);
        assertThat(queue.bytes()).isEqualTo(8);
        assertThat(queue.entries()).map(BulkQueueTest::text).containsExactly("a0", "a1", "a2", "b1");
        List<Slot> first = queue.take(10, 100);
        assertThat(texts(first)).isEqualTo("a0 b1");
        queue.retry(first);
        first = queue.take(10, 100);
        assertThat(texts(first)).isEqualTo("a0 b1");
        first.forEach(queue::done);
        List<Slot> second = queue.take(10, 100);
        assertThat(texts(second)).isEqualTo("a1");
        queue.retry(second);
        assertThat(texts(queue.take(10, 100))).isEqualTo("a1");
        queue.done(second.get(0));
        queue.take(10, 100).forEach(queue::done);
        assertThat(queue.size()).isZero();
        assertThat(queue.bytes()).isZero();
    }

    @Test
    void aWholeDocumentOrADeletionReplacesAllMergesThatWait() {
        add(Operation.MERGE, "a", "a1");
        List<Slot> first = queue.take(10, 100);
        add(Operation.MERGE, "a", "a2");
        add(Operation.UPDATE, "a", "a3");
        add(Operation.DELETE, "a", "a4");
        add(Operation.MERGE, "a", "a5");
        assertThat(queue.size()).isEqualTo(2);
        assertThat(queue.bytes()).isEqualTo(4);
        queue.retry(first);
        assertThat(texts(queue.take(10, 100))).isEqualTo("a4");
        queue.done(first.get(0));
        assertThat(texts(queue.take(10, 100))).isEqualTo("a5");
    }

    @Test
    void anUpdateReplacesAnUpdateAndFollowsAnythingElse() {
        add(Operation.INDEX, "a", "a1");
        add(Operation.UPDATE, "a", "a2");
        add(Operation.UPDATE, "a", "a3");
        assertThat(queue.entries()).map(BulkQueueTest::text).containsExactly("a1", "a3");
        add(Operation.INDEX, "a", "a4");
        assertThat(queue.entries()).map(BulkQueueTest::text).containsExactly("a4");
    }

    @Test
    void whatIsPostponedBlocksNothingAndComesWhenItIsDue() {
        add(Operation.UPDATE, "a", "a111");
        add(Operation.UPDATE, "b", "b1");
        queue.take(10, 100).forEach(slot -> queue.postpone(slot, slot.entry().id.equals("a") ? 200 : 100));
        add(Operation.UPDATE, "c", "c1");
        add(Operation.MERGE, "a", "a222");
        assertThat(queue.ready()).isEqualTo(1);
        assertThat(queue.postponed()).isEqualTo(2);
        assertThat(queue.size()).isEqualTo(4);
        assertThat(queue.bytes()).isEqualTo(12);
        assertThat(queue.nextDueAt()).isEqualTo(100);
        assertThat(queue.entries()).map(BulkQueueTest::text).containsExactlyInAnyOrder("c1", "b1", "a111", "a222")
                .containsSubsequence("a111", "a222");
        assertThat(texts(queue.take(10, 100))).isEqualTo("c1");
        queue.resume(99);
        assertThat(queue.take(10, 100)).isEmpty();
        queue.resume(100);
        assertThat(texts(queue.take(10, 100))).isEqualTo("b1");
        queue.resume(1000);
        assertThat(queue.nextDueAt()).isEqualTo(Long.MAX_VALUE);
        List<Slot> last = queue.take(10, 100);
        assertThat(texts(last)).isEqualTo("a111");
        queue.done(last.get(0));
        assertThat(texts(queue.take(10, 100))).isEqualTo("a222");
        assertThat(queue.bytes()).isZero();
    }

    @Test
    void whatReplacesAPostponedEntryNeedNotWait() {
        add(Operation.UPDATE, "a", "a1");
        add(Operation.UPDATE, "b", "b1");
        List<Slot> first = queue.take(10, 100);
        add(Operation.UPDATE, "a", "a2");
        first.forEach(slot -> queue.postpone(slot, 100));
        assertThat(queue.postponed()).isEqualTo(1);
        add(Operation.DELETE, "b", "b2");
        assertThat(queue.postponed()).isZero();
        assertThat(texts(queue.take(10, 100))).isEqualTo("a2 b2");
        assertThat(queue.size()).isZero();
        assertThat(queue.bytes()).isZero();
    }

    /** Against the simplest model: a map of what was written last. */
    @Test
    void whateverTheServerDoesTheLastWriteIsTheLastToArrive() {
        for (int seed = 0; seed < 200; seed++) {
            Random random = new Random(seed);
            BulkQueue tested = new BulkQueue();
            Map<String, String> written = new HashMap<>();
            Map<String, String> arrived = new HashMap<>();
            List<List<Slot>> underWay = new ArrayList<>();
            int writes = 0;
            while (writes < 300 || tested.size() > 0 || !underWay.isEmpty()) {
                int action = random.nextInt(10);
                if (action < 5 && writes < 300) {
                    String id = "d" + random.nextInt(8);
                    String text = id + "=" + writes++;
                    written.put(id, text);
                    tested.add(entry(id, text));
                } else if (action < 7 && underWay.size() < 4 && tested.ready() > 0) {
                    underWay.add(tested.take(1 + random.nextInt(4), 1000));
                    Set<String> ids = new HashSet<>();
                    underWay.forEach(request -> request.forEach(
                            slot -> assertThat(ids.add(slot.entry().id)).as("one at a time").isTrue()));
                } else if (!underWay.isEmpty()) {
                    List<Slot> again = new ArrayList<>();
                    for (Slot slot : underWay.remove(random.nextInt(underWay.size()))) {
                        int fate = random.nextInt(3);
                        if (fate < 2) {
                            arrived.put(slot.entry().id, text(slot.entry()));
                        }
                        if (fate > 0) {
                            again.add(slot);
                        } else {
                            tested.done(slot);
                        }
                    }
                    tested.retry(again);
                }
            }
            assertThat(arrived).isEqualTo(written);
            assertThat(tested.bytes()).isZero();
        }
    }
}
