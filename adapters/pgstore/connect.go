package pgstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxvec "github.com/pgvector/pgvector-go/pgx"

	"imago/config"
)

// settings reads the configuration of the connections.
func settings(cfg config.PGVectorStore) (*pgxpool.Config, error) {
	pool, err := pgxpool.ParseConfig(cfg.DSN.Reveal())
	if err != nil {
		return nil, badDSN(err)
	}
	pool.MaxConns = int32(cfg.MaxConns)
	pool.MinConns, pool.MinIdleConns = 0, 0
	pool.PingTimeout = cfg.ConnectTimeout
	conn := pool.ConnConfig
	conn.ConnectTimeout = cfg.ConnectTimeout
	if conn.ValidateConnect == nil {
		// A replica answers with what was true a moment ago.
		conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "imago"
	}
	return pool, nil
}

// Plain returns the hosts to which a connection may be made without TLS: those of the
// connection string whose sslmode allows it (disable, allow, prefer), but for Unix
// sockets. A string that cannot be read has none; Start refuses it.
func Plain(cfg config.PGVectorStore) (hosts []string) {
	pool, err := settings(cfg)
	if err != nil {
		return nil
	}
	conn := pool.ConnConfig
	ways := append([]*pgconn.FallbackConfig{{Host: conn.Host, TLSConfig: conn.TLSConfig}}, conn.Fallbacks...)
	for _, way := range ways {
		if way.TLSConfig == nil && !strings.HasPrefix(way.Host, "/") && !slices.Contains(hosts, way.Host) {
			hosts = append(hosts, way.Host)
		}
	}
	return hosts
}

// session is what the statements of this package rely on in a connection.
type session struct {
	searchPath string
	efSearch   int
	timeout    time.Duration
}

// sessionOf returns the session in a schema, with the types and operators of
// the schema that has the extension.
func sessionOf(cfg config.PGVectorStore, extension string) session {
	return session{
		searchPath: pgx.Identifier{cfg.Schema}.Sanitize() + ", " + pgx.Identifier{extension}.Sanitize(),
		efSearch:   cfg.HNSW.EfSearch, timeout: cfg.ConnectTimeout,
	}
}

// prepareSession overrides what may be set otherwise for the role, the database
// or the server:
//   - what has been acknowledged must be on the disk (synchronous_commit);
//   - whoever has waited for a lock must see what changed (READ COMMITTED);
//   - searches are planned for the collection they are about: of 1000 faces in
//     a table with 200,000 others they take 0.4 ms, and 60 by a plan that is
//     meant for any collection (plan_cache_mode).
const prepareSession = `
	SELECT set_config('search_path', $1, false),
		set_config('default_transaction_isolation', 'read committed', false),
		set_config('synchronous_commit', CASE current_setting('synchronous_commit')
			WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false),
		set_config('plan_cache_mode', 'force_custom_plan', false),
		set_config('hnsw.ef_search', $2, false),
		set_config('hnsw.iterative_scan', 'relaxed_order', false)`

// prepare sets up a connection that uses the tables.
func (s session) prepare(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if _, err := conn.Exec(ctx, prepareSession, s.searchPath, strconv.Itoa(s.efSearch)); err != nil {
		return fmt.Errorf("setting up the connection: %w", err)
	}
	return pgxvec.RegisterTypes(ctx, conn)
}
