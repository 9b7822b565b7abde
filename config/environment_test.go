package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEnvironmentSets(t *testing.T) {
	tests := []struct {
		variable string
		change   func(*Config)
	}{
		{"IMAGO_SERVER_LISTEN=:9000", func(c *Config) { c.Server.Listen = ":9000" }},
		{"IMAGO_SERVER_TIMEOUTS_REQUEST=1m30s", func(c *Config) { c.Server.Timeouts.Request = 90 * time.Second }},
		{"IMAGO_SERVER_LIMITS_IN_FLIGHT=7", func(c *Config) { c.Server.Limits.InFlight = 7 }},
		{"IMAGO_SEARCH_THRESHOLD=75.5", func(c *Config) { c.Search.Threshold = 75.5 }},
		{"IMAGO_QUALITY_ENABLED=False", func(c *Config) { c.Quality.Enabled = false }},
		{"IMAGO_INFERENCE_DETECT_SIZES=160, 640", func(c *Config) { c.Inference.DetectSizes = []int{160, 640} }},
		{"IMAGO_STORE_MEMORY_PATH=", func(c *Config) { c.Store.Memory.Path = "" }},
		{"IMAGO_MODELS_DIR=/a=b", func(c *Config) { c.Models.Dir = "/a=b" }},
		// Read elsewhere.
		{"IMAGO_API_KEY=x", func(*Config) {}},
		{"IMAGO_CONFIG=x", func(*Config) {}},
		{"IMAGO_ONNXRUNTIME_LIB=x", func(*Config) {}},
		{"IMAGO_TEST_REQUIRE=pgvector", func(*Config) {}},
		{"imago_server_listen=x", func(*Config) {}},
		{"IMAGO=x", func(*Config) {}},
		// Set by Kubernetes for services named imago and imago-server.
		{"IMAGO_SERVICE_HOST=10.0.0.1", func(*Config) {}},
		{"IMAGO_SERVICE_PORT=80", func(*Config) {}},
		{"IMAGO_SERVER_SERVICE_PORT_HTTP=80", func(*Config) {}},
		{"IMAGO_PORT=tcp://10.0.0.1:80", func(*Config) {}},
		{"IMAGO_PORT_80_TCP=tcp://10.0.0.1:80", func(*Config) {}},
		{"IMAGO_SERVER_PORT_80_TCP_ADDR=10.0.0.1", func(*Config) {}},
	}
	for _, test := range tests {
		t.Run(test.variable, func(t *testing.T) {
			want := Default()
			test.change(&want)
			got, err := Load("", []string{"PATH=/bin", test.variable})
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestEnvironmentRefuses(t *testing.T) {
	tests := []struct{ variable, want string }{
		{"IMAGO_SERVER_LISTN=:9000", "IMAGO_SERVER_LISTN: unknown variable; did you mean IMAGO_SERVER_LISTEN?"},
		{"IMAGO_APIKEY=x", "IMAGO_APIKEY: unknown variable; did you mean IMAGO_API_KEY?"},
		{"IMAGO_SERVER=x", "IMAGO_SERVER: unknown variable"},
		{"IMAGO_SERVER_PORT=8080", "IMAGO_SERVER_PORT: unknown variable"},
		{"IMAGO_A B=", `"IMAGO_A B": unknown variable`},
		{"IMAGO_COLLECTIONS=vip", "collections: can only be set in a file (IMAGO_COLLECTIONS)"},
		{"IMAGO_SERVER_LISTEN=", "server.listen: is required (IMAGO_SERVER_LISTEN)"},
		{"IMAGO_SEARCH_LIMIT=", "search.limit: must be a whole number (IMAGO_SEARCH_LIMIT)"},
		{"IMAGO_SEARCH_LIMIT=010x", "search.limit: must be a whole number (IMAGO_SEARCH_LIMIT)"},
		{"IMAGO_SEARCH_LIMIT=99999999999999999999", "search.limit: must be a whole number (IMAGO_SEARCH_LIMIT)"},
		{"IMAGO_SEARCH_THRESHOLD=NaN", "search.threshold: must be a number (IMAGO_SEARCH_THRESHOLD)"},
		{"IMAGO_QUALITY_ENABLED=1", "quality.enabled: must be true or false (IMAGO_QUALITY_ENABLED)"},
		{"IMAGO_SERVER_TIMEOUTS_IDLE=60", "server.timeouts.idle: must be a duration such as 30s or 5m (IMAGO_SERVER_TIMEOUTS_IDLE)"},
		{"IMAGO_INFERENCE_DETECT_SIZES=", "inference.detect_sizes: must have at least 1 entry (IMAGO_INFERENCE_DETECT_SIZES)"},
		{"IMAGO_INFERENCE_DETECT_SIZES=160,,640", "inference.detect_sizes: must be a whole number (IMAGO_INFERENCE_DETECT_SIZES)"},
		{"IMAGO_STORE_DRIVER=faiss", "store.driver: must be one of memory, pgvector, milvus (IMAGO_STORE_DRIVER)"},
	}
	for _, test := range tests {
		t.Run(test.variable, func(t *testing.T) {
			_, err := Load("", []string{test.variable})
			require.Equal(t, []string{test.want}, problems(t, err))
			require.ErrorContains(t, err, "environment has 1 problem")
		})
	}
}

func TestEnvironmentWinsOverFile(t *testing.T) {
	path := write(t, "search: {limit: 5, threshold: 500}\nlog: {level: debug}\n")
	got, err := Load(path, []string{"IMAGO_SEARCH_THRESHOLD=90"})
	require.NoError(t, err)
	want := Default()
	want.Search, want.Log.Level = Search{Threshold: 90, Limit: 5, MaxFalseMatch: 0.5}, "debug"
	require.Equal(t, want, got)
}

// One run names everything: what the file, the environment and the rules say.
func TestProblemsComeAtOnce(t *testing.T) {
	path := write(t, "search: {limit: many}\nlog: {level: loud}\nfoo: 1\n")
	_, err := Load(path, []string{"IMAGO_FOO=1", "IMAGO_INFERENCE_QUEUE=-1"})
	require.Equal(t, []string{
		"search.limit: must be a whole number (line 1)",
		"foo: unknown key (line 3)",
		"IMAGO_FOO: unknown variable",
		"inference.queue: must be at least 0 (IMAGO_INFERENCE_QUEUE)",
		"log.level: must be one of debug, info, warn, error (line 2)",
	}, problems(t, err))
}

func TestSuggestion(t *testing.T) {
	candidates := map[string]int{"listen": 1, "limits": 2, "timeouts": 3}
	require.Equal(t, "; did you mean listen?", suggestion("lsten", candidates))
	require.Equal(t, "; did you mean limits?", suggestion("limit", candidates))
	require.Empty(t, suggestion("telemetry", candidates))
	require.Empty(t, suggestion("", map[string]int{}))
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"abc", "abc", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"kitten", "sitting", 3},
		{"flaw", "lawn", 2},
	}
	for _, test := range tests {
		require.Equal(t, test.want, distance(test.a, test.b), "%q, %q", test.a, test.b)
	}
}
