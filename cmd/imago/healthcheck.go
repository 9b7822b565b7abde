package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imago/config"
)

// healthcheckTimeout bounds the whole check; it suits a container probe.
const healthcheckTimeout = 5 * time.Second

func healthcheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask a running imago whether it is ready",
		Long: "Asks the server of this configuration for /readyz. Exit code 0 means ready,\n" +
			"1 not ready or not there.",
		Example: "  imago healthcheck --config config/memory.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), healthcheckTimeout)
			defer cancel()
			return checkReady(ctx, cfg.Server)
		},
	}
}

func checkReady(ctx context.Context, server config.Server) error {
	listen := server.Listen
	if server.OpsListen != "" {
		listen = server.OpsListen
	}
	network, address := "tcp", listen
	if path, ok := strings.CutPrefix(listen, "unix://"); ok {
		network, address = "unix", path
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, dialable(network, address))
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://imago/readyz", nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("no answer at %s: is imago running?", listen)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", res.Status)
	}
	return nil
}

// dialable turns an address that listens on every interface into one that can
// be dialled.
func dialable(network, address string) string {
	host, port, err := net.SplitHostPort(address)
	if network != "tcp" || err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return address
}
