package org.crowdpulse.flink.elasticsearch;

import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/**
 * A program that has the sink from {@code pipeline.jars} alone, run in a process of its own.
 *
 * <p>Arguments: the sink's jar, hosts, index, then {@code save DIRECTORY} to stop with a savepoint, whose path is the
 * last line of the output; or {@code restore SAVEPOINT} to go on from there to the end of the 1,000 rows.
 */
final class PipelineJarsJob {

    private PipelineJarsJob() {}

    /** Runs the one or the other half of the job. */
    public static void main(String[] arguments) throws Exception {
        try {
            Class.forName("org.crowdpulse.flink.elasticsearch.ElasticsearchTableFactory");
            throw new IllegalStateException("The sink is on the class path: this would prove nothing.");
        } catch (ClassNotFoundException e) {
            // As it must be.
        }
        boolean save = arguments[3].equals("save");
        Configuration configuration = new Configuration();
        URL jar = Path.of(arguments[0]).toUri().toURL();
        configuration.setString("pipeline.jars", jar.toString());
        configuration.setString("parallelism.default", "1");
        configuration.setString("restart-strategy.type", "disable");
        if (!save) {
            configuration.setString("execution.state-recovery.path", arguments[4]);
        }
        // PyFlink does the same: the planner finds the sink by the context class loader, the cluster by pipeline.jars.
        Thread.currentThread().setContextClassLoader(new URLClassLoader(new URL[] {jar}));
        TableEnvironment tables = TableEnvironment.create(EnvironmentSettings.newInstance()
                .inStreamingMode()
                .withConfiguration(configuration)
                .withClassLoader(Thread.currentThread().getContextClassLoader())
                .build());
        tables.executeSql("CREATE TABLE numbers (n BIGINT) WITH ('connector'='datagen', 'rows-per-second'='200',"
                + " 'fields.n.kind'='sequence', 'fields.n.start'='1', 'fields.n.end'='1000')");
        tables.executeSql("CREATE TABLE written (n BIGINT, PRIMARY KEY (n) NOT ENFORCED) WITH ("
                + "'connector'='elasticsearch', 'hosts'='" + arguments[1] + "', 'index'='" + arguments[2] + "')");
        JobClient job = tables.executeSql("INSERT INTO written SELECT n FROM numbers").getJobClient().orElseThrow();
        if (save) {
            TimeUnit.SECONDS.sleep(3);
            String savepoint = job.triggerSavepoint(arguments[4], SavepointFormatType.CANONICAL).get();
            job.cancel().get();
            System.out.println(savepoint);
        } else {
            job.getJobExecutionResult().get(60, TimeUnit.SECONDS);
        }
        // The local cluster has threads that would keep the process.
        System.exit(0);
    }
}
