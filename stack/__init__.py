"""The local stack: Kafka, Elasticsearch, a Flink cluster and S3 (moto) on this machine, without Docker.

`python -m stack --help` is for people. For tests and other code, one module a part:

- stack.cluster: `up`, `down`, `states` of the whole
- stack.kafka, stack.elasticsearch, stack.flink, stack.moto: `start`, `stop`, `health` of one part, and its own things
- stack.jobs: `submit`, `cancel`, `state` of Flink jobs
- stack.processes: background processes with an identity; `run` starts one that `status` and `down` know
- stack.sql: the SQL client
- stack.maven, stack.java, stack.preflight, stack.ports, stack.layout, stack.package: what the others need

Every problem is a `stack.errors.StackError` whose text says what to do.
"""
