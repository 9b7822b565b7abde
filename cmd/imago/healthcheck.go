package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imago/cmd/imago/cli"
	"imago/config"
)

// healthcheckTimeout bounds the whole check; it suits a container probe.
const healthcheckTimeout = 5 * time.Second

func healthcheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask a running imago whether it is ready",
		Long: "Requests /readyz from the server of this configuration. Exit code 0 means ready, 4 not\n" +
			"ready or no answer. Where clients must present a certificate, it needs\n" +
			"server.ops_listen.",
		Example: "  imago healthcheck --config config/memory.yaml",
		Args:    cobra.NoArgs,
		RunE: withConfig(func(cmd *cobra.Command, _ []string, cfg config.Config) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), healthcheckTimeout)
			defer cancel()
			return checkReady(ctx, cfg.Server)
		}),
	}
}

func checkReady(ctx context.Context, server config.Server) error {
	listen, scheme := server.Listen, "http"
	if server.TLS.Enabled() {
		scheme = "https"
	}
	if server.OpsListen != "" {
		listen, scheme = server.OpsListen, "http"
	}
	if scheme == "https" && server.TLS.ClientAuth == config.ClientAuthRequire {
		return cli.Usagef("the server asks for a client certificate: set server.ops_listen for the check")
	}
	network, address := "tcp", listen
	if path, ok := strings.CutPrefix(listen, "unix://"); ok {
		network, address = "unix", path
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		// The certificate is for the name that clients use, not for this address. No
		// secret is sent.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			// Go dials this machine for an address that stands for all interfaces.
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://imago/readyz", nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return cli.Unavailablef("no answer at %s: is imago running?", listen)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return cli.Unavailablef("not ready: %s", res.Status)
	}
	return nil
}
