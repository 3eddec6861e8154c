"""The reference of each job: one hand-written Python loop over its topics, without Flink, a document at a time.

What everybody writes first: kafka-python, `json.loads`, the fields of the document, a model asked for one text, windows
in dicts, `client.index` for each document. One module a job, beside `_loop.py`, which they share. To be fair to it:

- Its clock starts at the first record; connecting and finding topics are left out, and its models are trained or loaded
  before. Indices have the same mappings and refresh intervals as the job's, and one connection is kept open.
- It does less than the job: no rules for single fields, no dead letters and late events, no topics written, no state
  that survives it, and of windows only those that close while it runs. What a module leaves out besides, it says.
- It is one process on one core. So many more can run as there are cores free; a row per CPU second tells that, too.
"""
