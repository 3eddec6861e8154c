package org.crowdpulse.flink.elasticsearch;

import java.net.URI;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;

/** Runs SQL as the tests need it, on one small Flink cluster in this process. */
final class Jobs {

    private static MiniCluster cluster;

    private Jobs() {}

    private static synchronized URI cluster() {
        try {
            if (cluster == null) {
                Configuration configuration = new Configuration();
                configuration.setString("rest.port", "0");
                configuration.setString("metrics.reporters", "test");
                configuration.setString("metrics.reporter.test.factory.class", TestReporter.class.getName());
                cluster = new MiniCluster(new MiniClusterConfiguration.Builder()
                        .setConfiguration(configuration)
                        .setNumSlotsPerTaskManager(8)
                        .build());
                cluster.start();
                Runtime.getRuntime().addShutdownHook(new Thread(cluster::closeAsync));
            }
            return cluster.getRestAddress().get();
        } catch (Exception e) {
            throw new IllegalStateException("The Flink cluster of the tests does not start.", e);
        }
    }

    /**
     * A streaming environment of parallelism 1 in UTC, whose jobs are not restarted.
     *
     * @param settings further settings of Flink, key and value by turns
     */
    static TableEnvironment tables(String... settings) {
        URI address = cluster();
        Configuration configuration = new Configuration();
        configuration.setString("execution.target", "remote");
        configuration.setString("rest.address", address.getHost());
        configuration.setString("rest.port", String.valueOf(address.getPort()));
        configuration.setString("table.local-time-zone", "UTC");
        configuration.setString("parallelism.default", "1");
        configuration.setString("restart-strategy.type", "disable");
        for (int i = 0; i < settings.length; i += 2) {
            configuration.setString(settings[i], settings[i + 1]);
        }
        return TableEnvironment.create(
                EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(configuration).build());
    }

    /**
     * The declaration of a table of the sink.
     *
     * @param options options of the sink, key and value by turns
     */
    static String table(String name, String columns, String hosts, String... options) {
        StringBuilder ddl = new StringBuilder("CREATE TABLE `" + name + "` (" + columns + ") WITH ("
                + "'connector'='elasticsearch', 'hosts'='" + hosts + "'");
        boolean index = false;
        for (int i = 0; i < options.length; i += 2) {
            index |= options[i].equals("index");
            ddl.append(", '").append(options[i]).append("'='").append(options[i + 1]).append("'");
        }
        return ddl.append(index ? "" : ", 'index'='" + name + "'").append(")").toString();
    }

    /** The declaration of a table {@code numbers} with a column {@code n} from 1 on; its position is kept as state. */
    static String numbers(int count, int perSecond) {
        return "CREATE TABLE numbers (n BIGINT) WITH ('connector'='datagen', 'rows-per-second'='" + perSecond + "',"
                + " 'fields.n.kind'='sequence', 'fields.n.start'='1', 'fields.n.end'='" + count + "')";
    }

    /**
     * Waits until a condition of a running job holds.
     *
     * @throws AssertionError when the job has ended, or a minute has passed, before it holds
     */
    static void await(JobClient job, BooleanSupplier condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (!condition.getAsBoolean()) {
            JobStatus status = job.getJobStatus().get();
            if (status.isGloballyTerminalState() || System.nanoTime() > end) {
                throw new AssertionError("What the test waits for did not happen; the job is " + status + ".");
            }
            Thread.sleep(20);
        }
    }

    /** Runs an insertion to its end; the job is cancelled if it is not there within a minute. */
    static void insert(TableEnvironment tables, String sql) throws Exception {
        TableResult result = tables.executeSql(sql);
        try {
            result.await(60, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            result.getJobClient().orElseThrow().cancel().get();
            throw e;
        }
    }
}
