"""Index templates, dashboards, and their way into Kibana."""
