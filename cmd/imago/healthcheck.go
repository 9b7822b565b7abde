package main

import (
	"context"
	"crypto/tls"
	"errors"
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
		Long: "Asks the server of this configuration for /readyz. Exit code 0 means ready, 4 not\n" +
			"ready or not there. Where clients must present a certificate, it needs\n" +
			"server.ops_listen.",
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
	listen, scheme := server.Listen, "http"
	if server.TLS.Enabled() {
		scheme = "https"
	}
	if server.OpsListen != "" {
		listen, scheme = server.OpsListen, "http"
	}
	if scheme == "https" && server.TLS.ClientAuth == config.ClientAuthRequire {
		return usageError{errors.New("the server asks for a client certificate: set server.ops_listen for the check")}
	}
	network, address := "tcp", listen
	if path, ok := strings.CutPrefix(listen, "unix://"); ok {
		network, address = "unix", path
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		// The certificate is for the name that clients use, not for this address.
		// Nothing is sent that anybody could gain from.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, dialable(network, address))
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://imago/readyz", nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return unavailableError{fmt.Errorf("no answer at %s: is imago running?", listen)}
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return unavailableError{fmt.Errorf("not ready: %s", res.Status)}
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
