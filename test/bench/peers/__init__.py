"""imago beside its peers, on the same vectors and pictures in one run.

`make bench-peers` installs everything from package registries, measures, and writes
results.json, results.md and latency.svg here. Stages: `search` (vector search, see
search.py) and `pipeline` (pictures over HTTP, see pipeline.py).
"""
