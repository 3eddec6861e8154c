package org.crowdpulse.flink.elasticsearch;

/** The suite on Elasticsearch 8. */
class Elasticsearch8IT extends SinkSuite {

    Elasticsearch8IT() throws Exception {
        super("elasticsearch.8.home", 17);
    }
}
