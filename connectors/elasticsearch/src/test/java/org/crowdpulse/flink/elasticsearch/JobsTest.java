package org.crowdpulse.flink.elasticsearch;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.apache.flink.core.execution.JobClient;
import org.apache.flink.table.api.TableEnvironment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A test that waits for a job must not wait for ever. */
class JobsTest {

    @Test
    @Timeout(value = 50, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void waitingEndsWithTheJob() throws Exception {
        try (ScriptedServer server = new ScriptedServer(ScriptedServer.status(401))) {
            TableEnvironment tables = Jobs.tables();
            tables.executeSql(Jobs.numbers(10, 1_000_000));
            tables.executeSql(Jobs.table("out", "n BIGINT", server.url()));
            JobClient job = tables.executeSql("INSERT INTO `out` SELECT n FROM numbers").getJobClient().orElseThrow();
            assertThatThrownBy(() -> Jobs.await(job, () -> !server.documents("out").isEmpty()))
                    .hasMessageContaining("the job is FAILED");
        }
    }
}
