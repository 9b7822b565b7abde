package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestSecretNeverPrints(t *testing.T) {
	const content = "hunter2"
	secret := Secret(content)
	holder := struct {
		DSN     Secret
		Pointer *Secret
		List    []Secret
		Map     map[string]Secret
	}{secret, &secret, []Secret{secret}, map[string]Secret{"dsn": secret}}

	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info(fmt.Sprint(secret), "secret", secret, "pointer", &secret, "holder", holder)
	}
	asJSON, err := json.Marshal(holder)
	require.NoError(t, err)
	asYAML, err := yaml.Marshal(holder)
	require.NoError(t, err)
	printed := []string{log.String(), string(asJSON), string(asYAML), secret.String(), secret.GoString()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10s", "%.3s"} {
		printed = append(printed, fmt.Sprintf(verb, secret), fmt.Sprintf(verb, holder), fmt.Errorf(verb, secret).Error())
	}
	for _, p := range printed {
		require.NotContains(t, p, content)
		require.NotContains(t, p, fmt.Sprintf("%x", content), "nor in hex")
		require.NotContains(t, p, fmt.Sprintf("%X", content), "nor in hex")
		require.Contains(t, p, mask)
	}
	require.Equal(t, content, secret.Reveal())
}

func TestSecretIsReadAsText(t *testing.T) {
	var holder struct {
		DSN Secret `yaml:"dsn"`
	}
	r := newReport()
	r.decode([]byte("dsn: hunter2"), &holder)
	require.Empty(t, r.problems)
	require.Equal(t, "hunter2", holder.DSN.Reveal())
	require.NoError(t, setText(reflect.ValueOf(&holder.DSN).Elem(), "other"))
	require.Equal(t, "other", holder.DSN.Reveal())
}
