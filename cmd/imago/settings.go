package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"imago/config"
)

// loadConfig reads the configuration that the command line and the environment
// name.
func loadConfig(cmd *cobra.Command) (config.Config, error) {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return config.Config{}, err
	}
	return promptly(cmd.Context(), func() (config.Config, error) {
		cfg, err := config.Load(path, os.Environ())
		if err != nil {
			return config.Config{}, usageError{err}
		}
		return cfg, nil
	})
}

// readPatience is how long reading a small file may take.
const readPatience = 10 * time.Second

// promptly does what takes no time unless a file system hangs. It gives up after
// readPatience or with ctx; the goroutine that hangs then ends with the process.
func promptly[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := do()
		done <- result{value, err}
	}()
	var none T
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-time.After(readPatience):
		return none, errors.New("the configuration cannot be read in time: its file system does not answer")
	}
}

// newLogger returns the structured log on standard error.
func newLogger(cfg config.Log) *slog.Logger {
	var level slog.Level
	// Validation has made sure of the level; the zero level is info.
	_ = level.UnmarshalText([]byte(cfg.Level))
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" {
		return slog.New(slog.NewTextHandler(os.Stderr, options))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, options))
}
