"""Milvus standalone, the server of test/servers. Everything is in sealed segments
with their index before it is measured; reads have the default consistency, which
waits for nobody."""

from pymilvus import DataType, MilvusClient

from .. import processes, servers
from . import EF, EF_CONSTRUCTION, Engine, M


class Flat(Engine):
    name, label, database = "milvus", "Milvus FLAT", True
    kind, parameters, search_parameters = "FLAT", {}, {}

    def __init__(self, settings, gallery):
        super().__init__(settings, gallery)
        self.patience = settings.patience
        self.process, address = servers.start("milvus", settings)
        self.client = MilvusClient(uri=f"http://{address}", timeout=self.patience)
        schema = MilvusClient.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=self.dimension)
        self.client.create_collection("faces", schema=schema)

    def build(self, gallery):
        for first, rows in gallery.batches(5_000):
            self.client.insert("faces", [{"id": first + i, "v": row} for i, row in enumerate(rows)])
        self.client.flush("faces", timeout=self.patience)
        index = MilvusClient.prepare_index_params()
        index.add_index("v", index_type=self.kind, metric_type="IP", params=self.parameters)
        self.client.create_index("faces", index, timeout=self.patience)
        processes.until(self.indexed, self.patience)
        self.client.load_collection("faces", timeout=self.patience)

    def indexed(self):
        state = self.client.describe_index("faces", "v")
        return state["pending_index_rows"] == 0 and state["indexed_rows"] >= state["total_rows"]

    def search(self, query, k):
        parameters = {"metric_type": "IP", "params": self.search_parameters}
        found = self.client.search("faces", [query], limit=k, anns_field="v", search_params=parameters)
        return [hit["id"] for hit in found[0]]

    def memory(self):
        return processes.resident(self.process.pid)

    def version(self):
        return self.client.get_server_version()

    def close(self):
        self.client.close()
        servers.stop(self.process)


class HNSW(Flat):
    name, label, graph = "milvus-hnsw", "Milvus HNSW", True
    kind, parameters, search_parameters = "HNSW", {"M": M, "efConstruction": EF_CONSTRUCTION}, {"ef": EF}


ENGINES = [Flat, HNSW]
