package pgstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pgvector/pgvector-go"
	pgxvec "github.com/pgvector/pgvector-go/pgx"

	"imago/config"
)

// poolConfig returns the configuration of the connections.
func poolConfig(cfg config.PGVectorStore) (*pgxpool.Config, error) {
	pool, err := pgxpool.ParseConfig(cfg.DSN.Reveal())
	if err != nil {
		return nil, dsnError(err)
	}
	pool.MaxConns = int32(cfg.MaxConns)
	pool.MinConns, pool.MinIdleConns = 0, 0
	pool.PingTimeout = cfg.ConnectTimeout
	conn := pool.ConnConfig
	conn.ConnectTimeout = cfg.ConnectTimeout
	conn.ValidateConnect = validate
	conn.RuntimeParams["client_encoding"] = "UTF8"
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "imago"
	}
	pool.AfterConnect = registerTypes(cfg.ConnectTimeout)
	return pool, nil
}

// PlaintextHosts returns the hosts to which a connection may be made without TLS: those of the
// connection string whose sslmode allows it (disable, allow, prefer), but for Unix
// sockets. A string that cannot be read has none; Open refuses it.
func PlaintextHosts(cfg config.PGVectorStore) (hosts []string) {
	pool, err := poolConfig(cfg)
	if err != nil {
		return nil
	}
	conn := pool.ConnConfig
	endpoints := append([]*pgconn.FallbackConfig{{Host: conn.Host, TLSConfig: conn.TLSConfig}}, conn.Fallbacks...)
	for _, e := range endpoints {
		if e.TLSConfig == nil && !strings.HasPrefix(e.Host, "/") && !slices.Contains(hosts, e.Host) {
			hosts = append(hosts, e.Host)
		}
	}
	return hosts
}

// registerTypes has a connection exchange vectors in the binary format, wherever the
// extension is; where it is missing they are exchanged as text.
func registerTypes(timeout time.Duration) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, conn *pgx.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		var oid, array uint32
		err := conn.QueryRow(ctx, `
			SELECT pg_type.oid, typarray FROM pg_extension JOIN pg_type ON typnamespace = extnamespace
			WHERE extname = 'vector' AND typname = 'vector'`).Scan(&oid, &array)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("setting up the connection: %w", err)
		}
		vector := &pgtype.Type{Name: "vector", OID: oid, Codec: &pgxvec.VectorCodec{}}
		conn.TypeMap().RegisterType(vector)
		conn.TypeMap().RegisterType(&pgtype.Type{Name: "_vector", OID: array, Codec: &pgtype.ArrayCodec{ElementType: vector}})
		// For modes that do not ask the server for the types of arguments.
		conn.TypeMap().RegisterDefaultPgType([]pgvector.Vector{}, "_vector")
		return nil
	}
}
