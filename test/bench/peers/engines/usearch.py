"""usearch: its exact search, and its graph."""

import numpy
import usearch
from usearch.index import Index, MetricKind, search

from . import EF, EF_CONSTRUCTION, Engine, M


class Exact(Engine):
    name, label = "usearch", "usearch, exact"

    def build(self, gallery):
        """The exact search is over a matrix that the caller holds."""
        self.matrix = numpy.empty((gallery.rows, self.dimension), dtype=numpy.float32)
        for first, rows in gallery.batches():
            self.matrix[first:first + len(rows)] = rows

    def search(self, query, k):
        return search(self.matrix, query, k, MetricKind.IP, exact=True, threads=1).keys

    def version(self):
        return usearch.__version__


class HNSW(Exact):
    name, label, graph = "usearch-hnsw", "usearch, graph", True

    def build(self, gallery):
        self.index = Index(ndim=self.dimension, metric=MetricKind.IP, dtype="f32", connectivity=M,
                           expansion_add=EF_CONSTRUCTION, expansion_search=EF)
        for first, rows in gallery.batches():
            self.index.add(numpy.arange(first, first + len(rows)), rows, threads=1)

    def search(self, query, k):
        return self.index.search(query, k, threads=1).keys


ENGINES = [Exact, HNSW]
