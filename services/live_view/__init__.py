"""The live view: the dashboards of kibana/dashboards in the browser, straight from Elasticsearch."""
