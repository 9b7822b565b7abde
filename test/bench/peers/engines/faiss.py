"""faiss: the flat index by inner product, and its graph. The wheel chooses AVX-512
where the processor has it."""

import faiss

from . import EF, EF_CONSTRUCTION, Engine, M


class Flat(Engine):
    name, label, huge = "faiss", "faiss IndexFlatIP", True

    def __init__(self, settings, gallery):
        super().__init__(settings, gallery)
        faiss.omp_set_num_threads(1)
        self.index = self.empty()

    def empty(self):
        return faiss.IndexFlatIP(self.dimension)

    def build(self, gallery):
        for _, rows in gallery.batches():
            self.index.add(rows)

    def search(self, query, k):
        return self.index.search(query[None], k)[1][0]

    def version(self):
        level = faiss.SIMDConfig.get_level_name() if hasattr(faiss, "SIMDConfig") else faiss.get_compile_options().strip()
        return f"{faiss.__version__} ({level})"


class HNSW(Flat):
    name, label, graph, huge = "faiss-hnsw", "faiss IndexHNSWFlat", True, False

    def empty(self):
        index = faiss.IndexHNSWFlat(self.dimension, M, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction, index.hnsw.efSearch = EF_CONSTRUCTION, EF
        return index


ENGINES = [Flat, HNSW]
