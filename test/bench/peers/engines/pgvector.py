"""PostgreSQL with pgvector, the server of test/servers with settings for a large
table. Memory is what table and indexes take, all of which PostgreSQL keeps cached."""

import psycopg
from pgvector.psycopg import register_vector

from .. import servers
from . import EF, EF_CONSTRUCTION, Engine, M


class Exact(Engine):
    name, label, database = "pgvector", "pgvector, exact", True

    def __init__(self, settings, gallery):
        super().__init__(settings, gallery)
        self.process, dsn = servers.start("postgres", settings)
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.connection.execute("CREATE EXTENSION vector")
        register_vector(self.connection)
        self.connection.execute(f"CREATE TABLE faces (id int PRIMARY KEY, v vector({self.dimension}) NOT NULL)")
        # Rows of 128 numbers stay in the table's pages, uncompressed.
        self.connection.execute("ALTER TABLE faces ALTER v SET STORAGE PLAIN")

    def build(self, gallery):
        with self.connection.cursor() as cursor, cursor.copy("COPY faces FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "vector"])
            for first, rows in gallery.batches():
                for i, row in enumerate(rows):
                    copy.write_row((first + i, row))
        self.index()
        self.connection.execute("VACUUM ANALYZE faces")

    def index(self):
        """There is none: every row is compared."""

    def search(self, query, k):
        rows = self.connection.execute("SELECT id FROM faces ORDER BY v <#> %s LIMIT %s", (query, k), prepare=True)
        return [row[0] for row in rows]

    def memory(self):
        return self.connection.execute("SELECT pg_total_relation_size('faces')").fetchone()[0]

    def version(self):
        extension = self.connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()[0]
        return f"{extension} on PostgreSQL {self.connection.info.server_version // 10000}"

    def close(self):
        self.connection.close()
        servers.stop(self.process)


class HNSW(Exact):
    name, label, graph = "pgvector-hnsw", "pgvector HNSW", True

    def index(self):
        self.connection.execute("SET max_parallel_maintenance_workers = 0")
        self.connection.execute(f"CREATE INDEX ON faces USING hnsw (v vector_ip_ops) WITH (m = {M}, ef_construction = {EF_CONSTRUCTION})")
        self.connection.execute(f"SET hnsw.ef_search = {EF}")
        self.connection.execute("SET enable_seqscan = off")  # small tables would be scanned


ENGINES = [Exact, HNSW]
