package pgstore

import (
	"context"
	"time"

	"imago/config"
	"imago/ports"
)

// Open connects and makes sure that the database has what the store needs: the
// extension, the schema, the tables, and the space of the vectors, which the
// first start in a schema fixes for good. It fails when the server cannot be
// reached, lacks pgvector and may not get it, or holds vectors of another embedding
// space. An index that is configured and missing is built afterwards.
func (d *Driver) Open(ctx context.Context) error {
	if err := d.open(ctx); err != nil {
		return ports.Classify(ctx, mapError(err))
	}
	return nil
}

func (d *Driver) open(ctx context.Context) error {
	if err := checkIndex(d.cfg, d.space.Dimension); err != nil {
		return err
	}
	began := time.Now()
	cfg, err := poolConfig(d.cfg)
	if err != nil {
		return err
	}
	if err := d.setup(ctx, cfg); err != nil {
		return err
	}
	d.commits, d.pruner = startCommitter(d), startPruner(d)
	if d.cfg.Index == config.IndexHNSW {
		d.hnsw = newHNSWIndex(d.cfg, d.space.Dimension, d.names, cfg.ConnConfig, d.log)
		d.hnsw.start()
	}
	d.log.Info("store opened", "host", cfg.ConnConfig.Host, "database", cfg.ConnConfig.Database,
		"schema", d.cfg.Schema, "index", d.cfg.Index, "duration_ms", time.Since(began).Milliseconds())
	return nil
}

// Close ends what runs in the background and disconnects.
func (d *Driver) Close() error {
	d.commits.close()
	d.pruner.close()
	d.hnsw.close()
	d.pool.Close()
	return nil
}
