"""Producers: one file a source, a pure iterator of events and a thin `main` that sends them to Kafka."""
