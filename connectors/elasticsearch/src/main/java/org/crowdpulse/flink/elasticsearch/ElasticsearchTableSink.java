package org.crowdpulse.flink.elasticsearch;

import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.connector.sink.SinkV2Provider;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.types.RowKind;
import org.crowdpulse.flink.elasticsearch.BulkEntry.Operation;

/** The sink as the planner sees it: which changes it takes, and what writes them. */
final class ElasticsearchTableSink implements DynamicTableSink {

    private final SinkConfig config;
    private final RowType rowType;
    private final int[] keyColumns;
    private final String keyDelimiter;
    private final String index;
    private final Operation write;
    private final Integer parallelism;

    /**
     * @param write what a row that is not deleted does to its document
     * @param parallelism of the sink, or null for that of the job
     */
    ElasticsearchTableSink(
            SinkConfig config,
            RowType rowType,
            int[] keyColumns,
            String keyDelimiter,
            String index,
            Operation write,
            Integer parallelism) {
        this.config = config;
        this.rowType = rowType;
        this.keyColumns = keyColumns;
        this.keyDelimiter = keyDelimiter;
        this.index = index;
        this.write = write;
        this.parallelism = parallelism;
    }

    /** Inserts alone where the query has nothing else; otherwise upserts, for which there must be a key. */
    @Override
    public ChangelogMode getChangelogMode(ChangelogMode requestedMode) {
        if (requestedMode.containsOnly(RowKind.INSERT)) {
            return ChangelogMode.insertOnly();
        }
        if (keyColumns.length == 0) {
            throw new ValidationException("The query updates or deletes rows, so the Elasticsearch table needs a"
                    + " PRIMARY KEY (…) NOT ENFORCED: its columns make the document id.");
        }
        return ChangelogMode.upsert(deletionNeedsTheKeyAlone());
    }

    private boolean deletionNeedsTheKeyAlone() {
        int indexColumn = new IndexName(index, rowType).column();
        for (int keyColumn : keyColumns) {
            if (keyColumn == indexColumn) {
                return true;
            }
        }
        return indexColumn < 0;
    }

    @Override
    public SinkRuntimeProvider getSinkRuntimeProvider(Context context) {
        RowConverter converter =
                new RowConverter(rowType, keyColumns, keyDelimiter, new IndexName(index, rowType), write);
        return SinkV2Provider.of(new ElasticsearchSink(config, converter), parallelism);
    }

    @Override
    public DynamicTableSink copy() {
        return new ElasticsearchTableSink(config, rowType, keyColumns, keyDelimiter, index, write, parallelism);
    }

    @Override
    public String asSummaryString() {
        return "Elasticsearch";
    }
}
