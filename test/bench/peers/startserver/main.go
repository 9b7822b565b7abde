// Command startserver runs one of the servers that tests use, for test/bench/peers:
// `startserver postgres` or `startserver milvus` prints where it listens and stops it
// when standard input ends. The server runs on the cores that the command was given.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"imago/test/servers"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("startserver: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: startserver postgres|milvus")
	}
	address, stop, err := start(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer stop()
	fmt.Println(address)
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with whoever started this
}

// start returns where the server listens and how it is stopped.
func start(name string) (address string, stop func(), err error) {
	switch name {
	case "postgres":
		s, err := servers.StartPostgres(servers.PostgresOptions{Durable: true})
		if err != nil {
			return "", nil, err
		}
		if err := tune(s); err != nil {
			s.Stop()
			return "", nil, err
		}
		return s.DSN(), s.Stop, nil
	case "milvus":
		s, err := servers.StartMilvus(servers.MilvusOptions{Durable: true})
		if err != nil {
			return "", nil, err
		}
		return s.Address(), s.Stop, nil
	}
	return "", nil, fmt.Errorf("%q is no server", name)
}

// settings are what an operator gives PostgreSQL for a table of a million vectors:
// room to keep it and its index in memory, and to build the index there. Queries
// this short gain nothing from compilation or from starting further processes.
var settings = []string{
	"shared_buffers = '2GB'", "maintenance_work_mem = '2GB'", "max_wal_size = '8GB'",
	"jit = off", "max_parallel_workers_per_gather = 0",
}

// tune restarts a server of our own with the settings.
func tune(s *servers.PostgresServer) error {
	if !s.Managed() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, s.DSN())
	if err != nil {
		return err
	}
	for _, setting := range settings {
		if _, err := c.Exec(ctx, "ALTER SYSTEM SET "+setting); err != nil {
			return err
		}
	}
	if err := c.Close(ctx); err != nil {
		return err
	}
	s.Kill()
	return s.Restart()
}
