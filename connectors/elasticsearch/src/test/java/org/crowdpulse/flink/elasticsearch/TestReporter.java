package org.crowdpulse.flink.elasticsearch;

import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.Metric;
import org.apache.flink.metrics.MetricConfig;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.reporter.MetricReporter;
import org.apache.flink.metrics.reporter.MetricReporterFactory;

/** Keeps the metrics of the sink's operator and the count of checkpoints, by the job's name. */
public final class TestReporter implements MetricReporter, MetricReporterFactory {

    private static final Map<String, Map<String, Metric>> JOBS = new ConcurrentHashMap<>();

    /** The value of a metric; -1 while there is none of this name. */
    static long value(String job, String name) {
        Metric metric = JOBS.getOrDefault(job, Map.of()).get(name);
        if (metric instanceof Counter counter) {
            return counter.getCount();
        }
        return metric instanceof Gauge<?> gauge ? ((Number) gauge.getValue()).longValue() : -1;
    }

    @Override
    public MetricReporter createMetricReporter(Properties properties) {
        return new TestReporter();
    }

    @Override
    public void open(MetricConfig config) {}

    @Override
    public void notifyOfAddedMetric(Metric metric, String name, MetricGroup group) {
        Map<String, String> variables = group.getAllVariables();
        boolean ofSink = variables.getOrDefault("<operator_name>", "").contains("Writer");
        if (ofSink || name.equals("numberOfCompletedCheckpoints")) {
            JOBS.computeIfAbsent(variables.get("<job_name>"), job -> new ConcurrentHashMap<>()).put(name, metric);
        }
    }

    @Override
    public void notifyOfRemovedMetric(Metric metric, String name, MetricGroup group) {}

    @Override
    public void close() {}
}
