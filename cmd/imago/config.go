package main

import (
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"imago/cmd/imago/cli"
	"imago/config"
)

// readTimeout is how long reading the configuration may take.
const readTimeout = 10 * time.Second

// loadConfig reads the configuration that the command line and the environment name.
// Where a file system hangs it gives up after readTimeout or with the command's
// context; the goroutine that hangs then ends with the process.
func loadConfig(cmd *cobra.Command) (config.Config, error) {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return config.Config{}, err
	}
	loaded, failed := make(chan config.Config, 1), make(chan error, 1)
	go func() {
		if cfg, err := config.Load(path, os.Environ()); err != nil {
			failed <- cli.Usage(err)
		} else {
			loaded <- cfg
		}
	}()
	select {
	case cfg := <-loaded:
		return cfg, nil
	case err = <-failed:
	case <-cmd.Context().Done():
		err = cmd.Context().Err()
	case <-time.After(readTimeout):
		err = errors.New("timed out reading the configuration: its file system does not respond")
	}
	return config.Config{}, err
}

// withConfig loads the configuration for a command.
func withConfig(run func(*cobra.Command, []string, config.Config) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		return run(cmd, args, cfg)
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

// configuredCollections completes the names of the collections.
func configuredCollections(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return collectionNames(cfg), cobra.ShellCompDirectiveNoFileComp
}
