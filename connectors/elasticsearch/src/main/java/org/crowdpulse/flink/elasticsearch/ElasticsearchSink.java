package org.crowdpulse.flink.elasticsearch;

import java.util.Collection;
import java.util.List;
import org.apache.flink.api.connector.sink2.StatefulSinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.connector.base.sink.AsyncSinkBase;
import org.apache.flink.connector.base.sink.writer.BufferedRequestState;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.table.data.RowData;

/**
 * Writes rows to Elasticsearch, at least once; with a PRIMARY KEY a row written twice is one document.
 *
 * <p>The writer is our own and not flink-connector-base's AsyncSinkWriter; the README says why.
 */
final class ElasticsearchSink extends AsyncSinkBase<RowData, BulkEntry> {

    private static final long serialVersionUID = 1L;

    private final SinkConfig config;

    ElasticsearchSink(SinkConfig config, RowConverter converter) {
        super(
                converter,
                config.maxActions(),
                config.maxInFlight(),
                config.maxBuffered(),
                config.maxSize(),
                config.interval(),
                config.maxSize(),
                config.requestTimeout(),
                false);
        this.config = config;
    }

    @Override
    public StatefulSinkWriter<RowData, BufferedRequestState<BulkEntry>> createWriter(WriterInitContext context) {
        return restoreWriter(context, List.of());
    }

    @Override
    public StatefulSinkWriter<RowData, BufferedRequestState<BulkEntry>> restoreWriter(
            WriterInitContext context, Collection<BufferedRequestState<BulkEntry>> recoveredState) {
        return new BulkWriter(config, getElementConverter(), context, recoveredState);
    }

    @Override
    public SimpleVersionedSerializer<BufferedRequestState<BulkEntry>> getWriterStateSerializer() {
        return new BulkEntrySerializer();
    }
}
