"""imago beside its peers, on the same vectors and pictures in one run.

`make bench-peers` installs everything from package registries, measures, and writes
results.json, results.md and latency.svg here, and the tables into the documents that
show them. Stages: `search` (vector search, see search.py), `accuracy` (who is
recognised, see accuracy.py), `networks` (the networks alone, see networks.py) and
`pipeline` (pictures over HTTP, see pipeline.py).
"""
