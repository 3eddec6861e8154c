package org.crowdpulse.flink.elasticsearch;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ThreadLocalRandom;
import java.util.zip.Deflater;
import java.util.zip.GZIPOutputStream;
import org.apache.flink.api.common.operators.MailboxExecutor;
import org.apache.flink.api.common.operators.ProcessingTimeService;
import org.apache.flink.api.connector.sink2.StatefulSinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.connector.base.sink.writer.BufferedRequestState;
import org.apache.flink.connector.base.sink.writer.ElementConverter;
import org.apache.flink.connector.base.sink.writer.RequestEntryWrapper;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.groups.SinkWriterMetricGroup;
import org.apache.flink.table.data.RowData;
import org.crowdpulse.flink.elasticsearch.BulkEntry.Operation;
import org.crowdpulse.flink.elasticsearch.FailureHandler.Refusal;
import org.elasticsearch.client.Cancellable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Collects entries and sends them in bulk requests, several at a time, while the task goes on.
 *
 * <p>All state is used by the task's thread alone: answers come back as mails to it. A checkpoint waits for what is
 * under way, and for what is buffered as long as the server answers; while it does not, the buffer is part of the
 * checkpoint.
 */
final class BulkWriter implements StatefulSinkWriter<RowData, BufferedRequestState<BulkEntry>> {

    private static final Logger LOG = LoggerFactory.getLogger(BulkWriter.class);

    /** A document that fails this often with an error of the server (500) is taken as the cause of it. */
    private static final int MAX_SERVER_ERRORS = 10;

    private static final int SERVER_ERROR = 500;
    private static final int MISSING = 404;
    private static final int CONFLICT = 409;
    private static final long WARN_EVERY_MILLIS = 10_000;

    private final SinkConfig config;
    private final ElementConverter<RowData, BulkEntry> converter;
    private final MailboxExecutor mailbox;
    private final ProcessingTimeService time;
    private final BulkClient client;
    private final BackOff backOff;
    private final BulkQueue queue = new BulkQueue();
    private final ArrayDeque<byte[]> bodies = new ArrayDeque<>();

    private final SinkWriterMetricGroup metrics;
    private final Counter retries;
    private final Counter rejected;
    private final Counter missingDocuments;

    /** Large documents would fill the memory long before there are too many of them. */
    private final long maxBufferedBytes;

    private int inFlight;
    private long maxRequestBytes;
    private boolean intervalTimer;
    private boolean intervalPassed;
    private long failingSince;
    /** Since when the server answers, in milliseconds since 1970; the largest number while it does not. */
    private long reachableSince = Long.MAX_VALUE;
    /** A checkpoint waits for what is under way, not for what is postponed. */
    private boolean checkpointing;
    /** When the timer of the postponed entries rings; the largest number if there is none. */
    private long wakeAt = Long.MAX_VALUE;
    private ScheduledFuture<?> wakeTimer;
    private long lastWarning;
    private volatile long lastFlushTime;
    private volatile long lastSendTime;

    /** A bulk request under way. */
    private static final class BulkRequest {
        final List<BulkQueue.Slot> slots;
        final byte[] body;
        final int length;
        /** Of the documents, before compression. */
        final int size;
        final long sentAt;
        boolean answered;
        ScheduledFuture<?> deadline;

        BulkRequest(List<BulkQueue.Slot> slots, byte[] body, int length, int size, long sentAt) {
            this.slots = slots;
            this.body = body;
            this.length = length;
            this.size = size;
            this.sentAt = sentAt;
        }
    }

    BulkWriter(
            SinkConfig config,
            ElementConverter<RowData, BulkEntry> converter,
            WriterInitContext context,
            Collection<BufferedRequestState<BulkEntry>> restored) {
        this.config = config;
        this.converter = converter;
        this.mailbox = context.getMailboxExecutor();
        this.time = context.getProcessingTimeService();
        this.backOff = new BackOff(
                config.maxInFlight(), config.initialDelay(), config.maxDelay(), ThreadLocalRandom.current());
        this.maxRequestBytes = config.maxSize();
        this.maxBufferedBytes = 2L * config.maxInFlight() * config.maxSize();
        this.metrics = context.metricGroup();
        this.retries = metrics.counter("retries");
        this.rejected = metrics.counter("rejected");
        this.missingDocuments = metrics.counter("missingDocuments");
        metrics.gauge("lastFlushTime", () -> lastFlushTime);
        metrics.gauge("bufferedRequests", queue::size);
        metrics.gauge("inFlightRequests", () -> inFlight);
        metrics.setCurrentSendTimeGauge(() -> lastSendTime);
        converter.open(context);
        for (BufferedRequestState<BulkEntry> state : restored) {
            for (RequestEntryWrapper<BulkEntry> wrapper : state.getBufferedRequestEntries()) {
                enqueue(wrapper.getRequestEntry());
            }
        }
        // Last, since nobody closes a writer whose constructor fails, and the client has a thread.
        this.client = new BulkClient(config);
    }

    @Override
    public void write(RowData row, Context context) throws IOException, InterruptedException {
        BulkEntry entry = converter.apply(row, context);
        if (entry == null) {
            return;
        }
        if (entry.index == null) {
            refuse(entry, new Refusal(0, "index_name_missing", "The column in the name of the index is null"));
        } else if (entry.size() > config.maxSize()) {
            refuse(entry, new Refusal(0, "document_too_large", "The document has " + entry.size()
                    + " bytes, 'sink.bulk-flush.max-size' allows " + config.maxSize()));
        } else {
            enqueue(entry);
        }
        sendFullRequests();
        while (queue.size() >= config.maxBuffered() || queue.bytes() >= maxBufferedBytes) {
            mailbox.yield();
        }
    }

    private void enqueue(BulkEntry entry) {
        queue.add(entry);
        if (!intervalTimer) {
            intervalTimer = true;
            time.registerTimer(time.getCurrentProcessingTime() + config.interval(), now -> {
                intervalTimer = false;
                sendEverything();
            });
        }
    }

    private void sendFullRequests() {
        while ((queue.ready() >= config.maxActions() || queue.readyBytes() >= maxRequestBytes)
                && backOff.allows(inFlight)) {
            send(queue.take(config.maxActions(), maxRequestBytes));
        }
    }

    /** Sends what waits as far as it may be sent now; the rest follows as answers come in. */
    private void sendEverything() {
        intervalPassed = true;
        sendMore();
    }

    private void sendMore() {
        if (intervalPassed) {
            while (queue.ready() > 0 && backOff.allows(inFlight)) {
                send(queue.take(config.maxActions(), maxRequestBytes));
            }
            intervalPassed = queue.size() > queue.postponed();
        } else {
            sendFullRequests();
        }
    }

    private void send(List<BulkQueue.Slot> slots) {
        BulkRequest request = build(slots);
        inFlight++;
        metrics.getNumBytesSendCounter().inc(request.length);
        Cancellable call = client.send(request.body, request.length, slots.size(), answer -> {
            try {
                mailbox.execute(() -> answered(request, answer), "answer of Elasticsearch to a bulk request");
            } catch (RejectedExecutionException e) {
                LOG.debug("The task ended before the answer to its bulk request.", e);
            }
        });
        request.deadline = time.registerTimer(request.sentAt + config.requestTimeout(), now -> {
            call.cancel();
            answered(request, BulkAnswer.unavailable(
                    0, "There was no complete answer within " + config.requestTimeout() + " ms"));
        });
    }

    private BulkRequest build(List<BulkQueue.Slot> slots) {
        long now = time.getCurrentProcessingTime();
        int size = 0;
        for (BulkQueue.Slot slot : slots) {
            size += slot.entry().size();
        }
        if (config.gzip()) {
            byte[] compressed = compress(slots);
            return new BulkRequest(slots, compressed, compressed.length, size, now);
        }
        byte[] body = bodies.poll();
        if (body == null || body.length < size) {
            body = new byte[Math.max(size, (int) Math.min(maxRequestBytes, 2L * size))];
        }
        int position = 0;
        for (BulkQueue.Slot slot : slots) {
            byte[] bytes = slot.entry().bytes;
            System.arraycopy(bytes, 0, body, position, bytes.length);
            position += bytes.length;
        }
        return new BulkRequest(slots, body, size, size, now);
    }

    private static byte[] compress(List<BulkQueue.Slot> slots) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(64 * 1024);
        try (FastGzip gzip = new FastGzip(bytes)) {
            for (BulkQueue.Slot slot : slots) {
                gzip.write(slot.entry().bytes);
            }
        } catch (IOException e) {
            throw new UncheckedIOException("Writing to memory does not fail.", e);
        }
        return bytes.toByteArray();
    }

    /** Gzip for speed: the body is read once and thrown away. */
    private static final class FastGzip extends GZIPOutputStream {
        FastGzip(ByteArrayOutputStream out) throws IOException {
            super(out, 8192);
            def.setLevel(Deflater.BEST_SPEED);
        }
    }

    private void answered(BulkRequest request, BulkAnswer answer) throws IOException {
        if (request.answered) {
            return;
        }
        request.answered = true;
        request.deadline.cancel(false);
        inFlight--;
        switch (answer.kind()) {
            case ANSWERED -> executed(request, answer.failed());
            case UNAVAILABLE -> {
                reachableSince = Long.MAX_VALUE;
                sendAgain(request.slots, answer.reason());
                pause(answer.reason());
            }
            case UNACCEPTABLE -> split(request, answer);
            case HOPELESS -> {
                // A cluster that starts, or its proxy, may refuse for a while what it took before.
                if (lastFlushTime == 0) {
                    throw new IOException("Elasticsearch cannot be written to: " + answer.reason()
                            + ". Correct the user, the certificate or the address in the options of the table.");
                }
                reachableSince = Long.MAX_VALUE;
                sendAgain(request.slots, answer.reason());
                pause(answer.reason());
            }
            default -> throw new IllegalStateException(answer.kind().name());
        }
        sendMore();
    }

    private void executed(BulkRequest request, Map<Integer, Refusal> failed) throws IOException {
        lastFlushTime = time.getCurrentProcessingTime();
        lastSendTime = lastFlushTime - request.sentAt;
        reachableSince = Math.min(reachableSince, lastFlushTime);
        if (!config.gzip() && bodies.size() < config.maxInFlight()) {
            bodies.add(request.body);
        }
        List<BulkQueue.Slot> again = new ArrayList<>();
        String reason = null;
        for (int i = 0; i < request.slots.size(); i++) {
            BulkQueue.Slot slot = request.slots.get(i);
            Refusal failure = failed.isEmpty() ? null : failed.get(i);
            if (failure != null && mayPass(slot.entry(), failure)) {
                again.add(slot);
                reason = failure.type() + ": " + failure.reason();
            } else if (failure != null && slot.entry().partial() && failure.status() == CONFLICT) {
                countAttempt(slot.entry(), failure.type() + ": " + failure.reason());
                postpone(slot, Long.MAX_VALUE);
            } else if (failure != null && slot.entry().operation == Operation.UPDATE && failure.status() == MISSING) {
                waitForDocument(slot);
            } else {
                BulkEntry entry = slot.entry();
                queue.done(slot);
                if (failure != null) {
                    refuse(entry, failure);
                }
            }
        }
        metrics.getNumRecordsSendCounter().inc(request.slots.size() - failed.size());
        if (again.isEmpty()) {
            succeeded();
        } else {
            sendAgain(again, reason);
            pause(reason);
        }
        wakeLater();
    }

    /** The document of an update is not there: it may be about to be written, by another job for one. */
    private void waitForDocument(BulkQueue.Slot slot) {
        long end = Math.max(slot.entry().missingSince(lastFlushTime), reachableSince) + config.missingTimeout();
        if (lastFlushTime < end) {
            postpone(slot, end);
        } else {
            missingDocuments.inc();
            LOG.debug("There is no document for {} after {} ms.", slot.entry(), config.missingTimeout());
            queue.done(slot);
        }
    }

    /** Sends an entry again, with growing delays but not after {@code latest}, while all others go on. */
    private void postpone(BulkQueue.Slot slot, long latest) {
        retries.inc();
        queue.postpone(slot, Math.min(latest, lastFlushTime + backOff.bound(slot.entry().postponedAgain())));
    }

    private void wakeLater() {
        long dueAt = queue.nextDueAt();
        if (dueAt >= wakeAt || checkpointing) {
            return;
        }
        if (wakeTimer != null) {
            wakeTimer.cancel(false);
        }
        wakeAt = dueAt;
        wakeTimer = time.registerTimer(dueAt, now -> {
            wakeAt = Long.MAX_VALUE;
            if (!checkpointing) {
                queue.resume(now);
                sendEverything();
                wakeLater();
            }
        });
    }

    /** Whether the document may be taken when it is sent again. Counts the errors of the server. */
    private static boolean mayPass(BulkEntry entry, Refusal failure) {
        return switch (failure.status()) {
            case 429, 502, 503, 504 -> true;
            case SERVER_ERROR -> entry.serverFailed() <= MAX_SERVER_ERRORS;
            default -> false;
        };
    }

    private void sendAgain(List<BulkQueue.Slot> slots, String reason) throws IOException {
        for (BulkQueue.Slot slot : slots) {
            countAttempt(slot.entry(), reason);
        }
        retries.inc(slots.size());
        queue.retry(slots);
    }

    private void countAttempt(BulkEntry entry, String reason) throws IOException {
        if (entry.failedAgain() > config.maxAttempts() && config.maxAttempts() >= 0) {
            throw new IOException("Elasticsearch did not take the document " + entry + " in "
                    + config.maxAttempts() + " further attempts, the last time for this reason: " + reason
                    + ". Raise 'sink.retry.max-attempts' (-1: for ever) to wait longer.");
        }
    }

    private void pause(String reason) {
        long now = time.getCurrentProcessingTime();
        if (!backOff.failing()) {
            failingSince = now;
        }
        if (now - lastWarning >= WARN_EVERY_MILLIS) {
            lastWarning = now;
            LOG.warn("Elasticsearch does not take documents at the moment; they wait and are sent again. {}", reason);
        }
        if (backOff.paused()) {
            return;
        }
        time.registerTimer(now + backOff.pause(), resumedAt -> {
            backOff.resume();
            sendEverything();
        });
    }

    private void succeeded() {
        if (backOff.failing()) {
            LOG.info("Elasticsearch takes documents again, after {} ms.", lastFlushTime - failingSince);
            lastWarning = 0;
        }
        backOff.succeeded();
    }

    /** Takes apart a request that is not taken as a whole, down to the document that is to blame. */
    private void split(BulkRequest request, BulkAnswer answer) throws IOException {
        if (request.slots.size() == 1) {
            BulkEntry entry = request.slots.get(0).entry();
            queue.done(request.slots.get(0));
            refuse(entry, new Refusal(answer.status(), "request_refused", answer.reason()));
            return;
        }
        if (answer.status() == 413) {
            maxRequestBytes = Math.max(1, Math.min(maxRequestBytes, request.size / 2));
            LOG.warn("Elasticsearch finds {} bytes of documents too large for one request; from now on they have at"
                    + " most {}. Lower 'sink.bulk-flush.max-size'.", request.size, maxRequestBytes);
            queue.retry(request.slots);
        } else {
            queue.retryInHalves(request.slots);
        }
        intervalPassed = true;
    }

    private void refuse(BulkEntry entry, Refusal refusal) throws IOException {
        rejected.inc();
        metrics.getNumRecordsSendErrorsCounter().inc();
        String sentence = "Elasticsearch refuses the document " + entry + " for good (" + refusal.status() + ", "
                + refusal.type() + "): " + refusal.reason() + ". ";
        if (entry.operation == Operation.INDEX_REFUSED) {
            throw new IOException(sentence + "It is itself the record of a refused document: correct the index of "
                    + "'sink.failure-handler', for example its mapping.");
        }
        switch (config.failureHandler().kind()) {
            case FAIL -> throw new IOException(sentence + "Correct the mapping or the row, or set "
                    + "'sink.failure-handler' to 'index:<name>' or 'ignore' to go on without it.");
            case IGNORE -> LOG.debug("{}", sentence);
            case INDEX -> enqueue(config.failureHandler()
                    .document(entry, refusal, time.getCurrentProcessingTime(), config.maxSize() / 4));
            default -> throw new IllegalStateException(config.failureHandler().kind().name());
        }
    }

    @Override
    public void flush(boolean endOfInput) throws IOException, InterruptedException {
        checkpointing = !endOfInput;
        sendEverything();
        while (inFlight > 0 || queue.ready() > 0 && !backOff.failing() || queue.size() > 0 && endOfInput) {
            mailbox.yield();
        }
        checkpointing = false;
        wakeLater();
    }

    @Override
    public List<BufferedRequestState<BulkEntry>> snapshotState(long checkpointId) {
        List<RequestEntryWrapper<BulkEntry>> entries = new ArrayList<>(queue.size());
        for (BulkEntry entry : queue.entries()) {
            entries.add(new RequestEntryWrapper<>(entry, entry.size()));
        }
        return entries.isEmpty() ? List.of() : List.of(new BufferedRequestState<>(entries));
    }

    @Override
    public void close() throws IOException {
        client.close();
    }
}
