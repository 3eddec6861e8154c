package org.crowdpulse.flink.elasticsearch;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.ListIterator;
import java.util.Map;

/**
 * Entries that wait for a bulk request, in order, such that at most one entry of a document is under way: whatever is
 * sent again or answered late, the last write of a document is sent last.
 *
 * <p>A later entry replaces one of the same document that still waits, and is held back while one is under way. Used by
 * the task's thread alone.
 */
final class BulkQueue {

    /** The place of one document in the queue or in a request. */
    static final class Slot {

        private final String index;
        private final String id;
        private BulkEntry entry;
        private BulkEntry next;
        private boolean inFlight;
        private boolean endsRequest;

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
    private final Map<Slot, Slot> slots = new HashMap<>();
    private long readyBytes;
    private int held;
    private long heldBytes;

    void add(BulkEntry entry) {
        Slot added = new Slot(entry);
        Slot slot = entry.shared ? slots.putIfAbsent(added, added) : null;
        if (slot == null) {
            ready.addLast(added);
            readyBytes += entry.size();
        } else if (slot.inFlight) {
            hold(slot, entry);
        } else {
            readyBytes += entry.size() - slot.entry.size();
            slot.entry = entry;
        }
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
        if (slot.next != null) {
            release(slot);
            ready.addLast(slot);
            readyBytes += slot.entry.size();
        } else if (slot.entry.shared) {
            slots.remove(slot);
        }
    }

    /** The entries must be sent again, before all others; those that a later one replaces are forgotten. */
    void retry(List<Slot> failed) {
        ListIterator<Slot> backwards = failed.listIterator(failed.size());
        while (backwards.hasPrevious()) {
            Slot slot = backwards.previous();
            slot.inFlight = false;
            if (slot.next != null) {
                release(slot);
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

    private void hold(Slot slot, BulkEntry entry) {
        if (slot.next == null) {
            held++;
        } else {
            heldBytes -= slot.next.size();
        }
        heldBytes += entry.size();
        slot.next = entry;
    }

    private void release(Slot slot) {
        slot.entry = slot.next;
        slot.next = null;
        held--;
        heldBytes -= slot.entry.size();
    }

    /** How many entries may be taken now. */
    int ready() {
        return ready.size();
    }

    long readyBytes() {
        return readyBytes;
    }

    /** How many entries wait, those that are held back included. */
    int size() {
        return ready.size() + held;
    }

    /** How many bytes wait, those that are held back included. */
    long bytes() {
        return readyBytes + heldBytes;
    }

    /** The waiting entries in order. Complete only while nothing is under way. */
    List<BulkEntry> entries() {
        return ready.stream().map(Slot::entry).toList();
    }
}
