"""hnswlib, compiled here for this processor."""

import hnswlib

from . import EF, EF_CONSTRUCTION, Engine, M


class HNSWLib(Engine):
    name, label, graph = "hnswlib", "hnswlib", True

    def build(self, gallery):
        self.index = hnswlib.Index(space="ip", dim=self.dimension)
        self.index.init_index(max_elements=gallery.rows, M=M, ef_construction=EF_CONSTRUCTION)
        self.index.set_num_threads(1)
        for first, rows in gallery.batches():
            self.index.add_items(rows, range(first, first + len(rows)))
        self.index.set_ef(EF)

    def search(self, query, k):
        return self.index.knn_query(query, k)[0][0]

    def version(self):
        return hnswlib.__version__ if hasattr(hnswlib, "__version__") else ""


ENGINES = [HNSWLib]
