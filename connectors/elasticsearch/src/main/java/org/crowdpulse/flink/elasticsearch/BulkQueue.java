package org.crowdpulse.flink.elasticsearch;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.ListIterator;
import java.util.Map;
import java.util.PriorityQueue;

/**
 * Entries that wait for a bulk request, in order, such that at most one entry of a document is under way: whatever is
 * sent again or answered late, the last write of a document is sent last.
 *
 * <p>A later entry replaces those of the same document that still wait, unless it leaves fields as they are that these
 * write: then it follows them. It is held back while another is under way or postponed.
 *
 * <p>Used by the task's thread alone.
 */
final class BulkQueue {

    /** What follows most entries, so that it takes no memory; never changed. */
    private static final ArrayDeque<BulkEntry> NOTHING = new ArrayDeque<>(0);

    /** The place of one document in the queue or in a request. */
    static final class Slot {

        private final String index;
        private final String id;
        private BulkEntry entry;
        private ArrayDeque<BulkEntry> next = NOTHING;
        private boolean inFlight;
        private boolean postponed;
        private boolean endsRequest;
        private long dueAt;

        private Slot(BulkEntry entry) {
            this.index = entry.index;
            this.id = entry.id;
            this.entry = entry;
        }

        BulkEntry entry() {
            return entry;
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Slot slot && id.equals(slot.id) && index.equals(slot.index);
        }

        @Override
        public int hashCode() {
            return id.hashCode();
        }
    }

    private final ArrayDeque<Slot> ready = new ArrayDeque<>();
    private final PriorityQueue<Slot> postponed = new PriorityQueue<>(Comparator.comparingLong(slot -> slot.dueAt));
    private final Map<Slot, Slot> slots = new HashMap<>();
    private long readyBytes;
    private int held;
    private long heldBytes;

    void add(BulkEntry entry) {
        Slot added = new Slot(entry);
        Slot slot = entry.shared ? slots.putIfAbsent(added, added) : null;
        if (slot == null) {
            append(added);
            return;
        }
        while (!slot.next.isEmpty() && entry.replaces(slot.next.peekLast())) {
            release(slot.next.pollLast());
        }
        if (!slot.next.isEmpty() || slot.inFlight || !entry.replaces(slot.entry)) {
            if (slot.next == NOTHING) {
                slot.next = new ArrayDeque<>(2);
            }
            slot.next.addLast(entry);
            hold(entry);
        } else if (slot.postponed) {
            postponed.remove(slot);
            slot.postponed = false;
            release(slot.entry);
            slot.entry = entry;
            append(slot);
        } else {
            readyBytes += entry.size() - slot.entry.size();
            slot.entry = entry;
        }
    }

    private void append(Slot slot) {
        ready.addLast(slot);
        readyBytes += slot.entry.size();
    }

    /** Takes the next entries, at least one if there is any, and marks them as under way. */
    List<Slot> take(int maxEntries, long maxBytes) {
        List<Slot> taken = new ArrayList<>(Math.min(maxEntries, ready.size()));
        long bytes = 0;
        while (taken.size() < maxEntries && !ready.isEmpty()) {
            int size = ready.peekFirst().entry.size();
            if (bytes + size > maxBytes && !taken.isEmpty()) {
                break;
            }
            Slot slot = ready.pollFirst();
            slot.inFlight = true;
            taken.add(slot);
            bytes += size;
            if (slot.endsRequest) {
                break;
            }
        }
        readyBytes -= bytes;
        return taken;
    }

    /** The entry is dealt with; what was held back for it is next. */
    void done(Slot slot) {
        slot.inFlight = false;
        slot.endsRequest = false;
        if (!slot.next.isEmpty()) {
            advance(slot);
            append(slot);
        } else if (slot.entry.shared) {
            slots.remove(slot);
        }
    }

    /** The entry must be sent again, but not before some time; one that replaces it need not wait. */
    void postpone(Slot slot, long dueAt) {
        slot.inFlight = false;
        slot.endsRequest = false;
        if (replaced(slot)) {
            advance(slot);
            append(slot);
        } else {
            slot.postponed = true;
            slot.dueAt = dueAt;
            postponed.add(slot);
            hold(slot.entry);
        }
    }

    /** The postponed entries whose time has come may be taken. */
    void resume(long now) {
        while (!postponed.isEmpty() && postponed.peek().dueAt <= now) {
            Slot slot = postponed.poll();
            slot.postponed = false;
            release(slot.entry);
            append(slot);
        }
    }

    /** When the next postponed entry may be taken; the largest number if there is none. */
    long nextDueAt() {
        return postponed.isEmpty() ? Long.MAX_VALUE : postponed.peek().dueAt;
    }

    /** The entries must be sent again, before all others; those that a later one replaces are forgotten. */
    void retry(List<Slot> failed) {
        ListIterator<Slot> backwards = failed.listIterator(failed.size());
        while (backwards.hasPrevious()) {
            Slot slot = backwards.previous();
            slot.inFlight = false;
            if (replaced(slot)) {
                advance(slot);
            }
            ready.addFirst(slot);
            readyBytes += slot.entry.size();
        }
    }

    /** The entries of a request must be sent again, before all others, in two requests. */
    void retryInHalves(List<Slot> failed) {
        failed.get(failed.size() / 2 - 1).endsRequest = true;
        failed.get(failed.size() - 1).endsRequest = true;
        retry(failed);
    }

    private static boolean replaced(Slot slot) {
        return !slot.next.isEmpty() && slot.next.peekFirst().replaces(slot.entry);
    }

    private void advance(Slot slot) {
        slot.entry = slot.next.pollFirst();
        release(slot.entry);
    }

    private void hold(BulkEntry entry) {
        held++;
        heldBytes += entry.size();
    }

    private void release(BulkEntry entry) {
        held--;
        heldBytes -= entry.size();
    }

    /** How many entries may be taken now. */
    int ready() {
        return ready.size();
    }

    long readyBytes() {
        return readyBytes;
    }

    /** How many documents wait for a time of their own. */
    int postponed() {
        return postponed.size();
    }

    /** How many entries wait, those that are held back included. */
    int size() {
        return ready.size() + held;
    }

    /** How many bytes wait, those that are held back included. */
    long bytes() {
        return readyBytes + heldBytes;
    }

    /** The waiting entries, those of a document in order. Complete only while nothing is under way. */
    List<BulkEntry> entries() {
        List<BulkEntry> entries = new ArrayList<>(size());
        for (Collection<Slot> waiting : List.of(ready, postponed)) {
            for (Slot slot : waiting) {
                entries.add(slot.entry);
                entries.addAll(slot.next);
            }
        }
        return entries;
    }
}
