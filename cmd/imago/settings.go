package main

import (
	"log/slog"
	"os"

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
	cfg, err := config.Load(path, os.Environ())
	if err != nil {
		return config.Config{}, usageError{err}
	}
	return cfg, nil
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
