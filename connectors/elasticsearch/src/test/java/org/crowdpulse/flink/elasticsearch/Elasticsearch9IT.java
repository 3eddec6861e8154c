package org.crowdpulse.flink.elasticsearch;

/** The suite on Elasticsearch 9. */
class Elasticsearch9IT extends SinkSuite {

    Elasticsearch9IT() throws Exception {
        super("elasticsearch.9.home", 21);
    }
}
