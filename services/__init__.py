"""Services: long-running programs beside the Flink jobs."""
