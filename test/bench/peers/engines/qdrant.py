"""Qdrant's engine in this process (Qdrant Edge): no package registry carries the
server. So this is Qdrant without its network, which is to its advantage."""

import importlib.metadata

from qdrant_edge import (Distance, EdgeConfig, EdgeOptimizersConfig, EdgeShard, EdgeVectorParams, HnswIndexConfig, Point,
                         Query, QueryRequest, SearchParams, UpdateOperation)

from . import EF, EF_CONSTRUCTION, Engine, M

NEVER = 1 << 40  # KiB of vectors


class Exact(Engine):
    name, label, database = "qdrant", "Qdrant Edge, exact", True
    params = SearchParams(exact=True)
    indexed_from = NEVER

    def __init__(self, settings, gallery):
        super().__init__(settings, gallery)
        folder = settings.folder / f"qdrant-{self.name}"
        folder.mkdir()
        self.shard = EdgeShard.create(str(folder), EdgeConfig(
            vectors=EdgeVectorParams(size=self.dimension, distance=Distance.Dot),
            hnsw_config=HnswIndexConfig(m=M, ef_construct=EF_CONSTRUCTION, full_scan_threshold=10, max_indexing_threads=1),
            optimizers=EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=self.indexed_from),
            max_search_threads=1))

    def build(self, gallery):
        for first, rows in gallery.batches(1_000):
            points = [Point(first + i, row) for i, row in enumerate(rows.tolist())]
            self.shard.update(UpdateOperation.upsert_points(points))
        self.shard.optimize()

    def search(self, query, k):
        request = QueryRequest(limit=k, query=Query.Nearest(query.tolist()), params=self.params)
        return [point.id for point in self.shard.query(request)]

    def version(self):
        return importlib.metadata.version("qdrant-edge-py")

    def close(self):
        self.shard.close()


class HNSW(Exact):
    name, label, graph = "qdrant-hnsw", "Qdrant Edge, graph", True
    params = SearchParams(hnsw_ef=EF)
    indexed_from = 1

    def build(self, gallery):
        super().build(gallery)
        indexed = self.shard.info().indexed_vectors_count
        if indexed < gallery.rows:
            raise RuntimeError(f"only {indexed} of {gallery.rows} vectors are in the graph")


ENGINES = [Exact, HNSW]
