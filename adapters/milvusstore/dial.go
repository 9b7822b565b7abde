package milvusstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	grpcretry "github.com/grpc-ecosystem/go-grpc-middleware/retry"
	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"imago/config"
	"imago/config/regularfile"
	"imago/ports"
)

// dial prepares a connection, which is made with the first call and again whenever
// it was lost.
func dial(ctx context.Context, cfg config.MilvusStore, log *slog.Logger) (sdk, error) {
	if cfg.Address == "" {
		return nil, fmt.Errorf("%w: store.milvus.address is empty: set it to host:port of the Milvus server", ports.ErrInvalid)
	}
	transport, err := transportCredentials(cfg)
	if err != nil {
		return nil, err
	}
	if !encrypted(cfg) && (cfg.Password.Reveal() != "" || cfg.Token.Reveal() != "") {
		log.Warn("the password or token is sent unencrypted; set store.milvus.tls")
	}
	return client.NewClient(ctx, client.Config{
		Address:  cfg.Address,
		DBName:   cfg.Database,
		Username: cfg.Username,
		Password: cfg.Password.Reveal(),
		APIKey:   cfg.Token.Reveal(),
		// Without the call that makes the client known to the server; when that
		// one fails the client leaves its connection open.
		DisableConn:    true,
		RetryRateLimit: &client.RetryRateLimitOption{MaxRetry: 0},
		DialOptions:    dialOptions(transport),
	})
}

// dialOptions replaces the client's own, of which two do not suit: blocking until
// the server is there, and repeating what a lost connection has left open, inserts
// included.
func dialOptions(transport credentials.TransportCredentials) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithChainUnaryInterceptor(checkStatus),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpcretry.Disable()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true,
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second,
			},
			MinConnectTimeout: 3 * time.Second,
		}),
	}
}

// encrypted reports whether TLS is asked for, be it by an address with a scheme as
// Zilliz Cloud shows it.
func encrypted(cfg config.MilvusStore) bool {
	return cfg.TLS || strings.HasPrefix(cfg.Address, "https://")
}

// maxCAFile bounds the file of authorities, in bytes.
const maxCAFile = 1 << 20

// transportCredentials returns how to secure the connection.
func transportCredentials(cfg config.MilvusStore) (credentials.TransportCredentials, error) {
	if !encrypted(cfg) {
		return insecure.NewCredentials(), nil
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		certificates, err := regularfile.Read(cfg.CAFile, maxCAFile)
		if err != nil {
			return nil, fmt.Errorf("%w: store.milvus.ca_file cannot be read: %w", ports.ErrInvalid, err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(certificates) {
			return nil, fmt.Errorf("%w: store.milvus.ca_file %s holds no certificate in PEM form", ports.ErrInvalid, cfg.CAFile)
		}
	}
	return credentials.NewTLS(settings), nil
}

// checkStatus turns an answer that reports a failure into an error. The client
// does so too, but without the code, and it looks only at the code that servers
// before 2.3 used.
func checkStatus(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	if err := invoke(ctx, method, request, reply, conn, options...); err != nil {
		return err
	}
	var status *commonpb.Status
	switch r := reply.(type) {
	case *commonpb.Status:
		status = r
	case interface{ GetStatus() *commonpb.Status }:
		status = r.GetStatus()
	}
	//lint:ignore SA1019 Servers before 2.3 leave GetCode at 0.
	if status.GetCode() == 0 && status.GetErrorCode() == commonpb.ErrorCode_Success {
		return nil
	}
	return &serverError{code: status.GetCode(), reason: status.GetReason()}
}

// indexMissing is the code with which a server says that there is no index.
// https://github.com/milvus-io/milvus/blob/v2.3.5/pkg/util/merr/errors.go
const indexMissing = 700

func isMissingIndex(err error) bool {
	var a *serverError
	return errors.As(err, &a) && a.code == indexMissing
}
