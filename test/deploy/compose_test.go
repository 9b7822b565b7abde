package deploy

import (
	"context"
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/test/fixture"
	"imago/test/servers"
)

// compose is what the tests look at in a compose file, as it is after loading.
type compose struct {
	Services map[string]struct {
		Image           string
		Build           struct{ Args map[string]string }
		Environment     map[string]string
		DependsOn       map[string]struct{ Condition string } `json:"depends_on"`
		Healthcheck     map[string]any
		Volumes         []volume
		Configs         []struct{ Source, Target string }
		NetworkMode     string `json:"network_mode"`
		ReadOnly        bool   `json:"read_only"`
		StopGracePeriod string `json:"stop_grace_period"`
		Ports           []map[string]any
	}
	Configs map[string]struct{ Content string }
}

type volume struct {
	Type, Source, Target string
	ReadOnly             bool `json:"read_only"`
}

// variables are what the compose files ask for.
var variables = []string{
	"VERSION=v1.2.3", "IMAGO_API_KEY=sixteen-characters", "POSTGRES_PASSWORD=0123456789abcdef",
	"MINIO_USER=imago", "MINIO_PASSWORD=eight-characters",
}

func composeFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(fixture.Root(t), "docker", "compose.*.yaml"))
	require.NoError(t, err)
	require.Len(t, files, 5)
	return files
}

// loadCompose loads a file as docker compose does, strictly.
func loadCompose(t *testing.T, file string) (c compose) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(mustTool(t, "", variables, "composefile", file)), &c))
	return c
}

// Each compose file starts imago with settings that load, over the store it is
// named for, once what imago needs is healthy, gives it the time to stop, and builds it
// with its version.
func TestComposeFiles(t *testing.T) {
	for _, file := range composeFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c := loadCompose(t, file)
			imago := c.Services["imago"]
			require.True(t, imago.ReadOnly)
			require.Equal(t, map[string]string{"VERSION": "v1.2.3"}, imago.Build.Args)
			var environ []string
			for name, value := range imago.Environment {
				environ = append(environ, name+"="+value)
			}
			cfg, err := config.Load("", environ)
			require.NoError(t, err)
			requireTimeToStop(t, cfg, imago.StopGracePeriod)
			if gateway, there := c.Services["gateway"]; there {
				require.Empty(t, imago.Ports, "the gateway alone is reached from outside")
				require.True(t, gateway.ReadOnly)
				requireUpstream(t, c, cfg.Server)
			} else {
				require.Equal(t, "compose."+cfg.Store.Driver+".yaml", filepath.Base(file))
			}
			for name, dependency := range imago.DependsOn {
				if dependency.Condition == "service_healthy" {
					require.NotEmpty(t, c.Services[name].Healthcheck, name)
				}
			}
			for _, service := range c.Services {
				for _, v := range service.Volumes {
					if v.Type == "bind" {
						require.FileExists(t, v.Source)
					}
				}
			}
		})
	}
}

// requireTimeToStop checks that imago is killed no sooner than it stops by itself.
func requireTimeToStop(t *testing.T, cfg config.Config, grace string) {
	t.Helper()
	allowed, err := time.ParseDuration(grace)
	require.NoError(t, err, "stop_grace_period")
	require.Greater(t, allowed, time.Duration(cfg.Server.Timeouts.DrainDelay+cfg.Server.Timeouts.Shutdown))
}

// requireUpstream checks that the gateway looks for imago where it listens, and that
// imago believes it.
func requireUpstream(t *testing.T, c compose, s config.Server) {
	t.Helper()
	gateway, imago := c.Services["gateway"], c.Services["imago"]
	require.Len(t, gateway.Configs, 1)
	require.Equal(t, "/etc/nginx/upstream.conf", gateway.Configs[0].Target)
	upstream := c.Configs[gateway.Configs[0].Source].Content
	path, socket := strings.CutPrefix(s.Listen, "unix://")
	if !socket {
		require.Equal(t, "service:gateway", imago.NetworkMode)
		require.Equal(t, "server "+s.Listen+" max_fails=0;\n", upstream)
		require.Equal(t, []string{"127.0.0.1"}, s.TrustedProxies)
		return
	}
	require.Equal(t, "none", imago.NetworkMode)
	require.Equal(t, "server unix:"+path+" max_fails=0;\n", upstream)
	require.Equal(t, []string{config.UnixProxy}, s.TrustedProxies)
	require.Contains(t, imago.Volumes, volume{Type: "volume", Source: "socket", Target: filepath.Dir(path)})
	require.Contains(t, gateway.Volumes, volume{Type: "volume", Source: "socket", Target: filepath.Dir(path), ReadOnly: true})
}

// No compose file has a password that everybody knows: without each of its variables
// it does not load, and the message tells which one to set.
func TestComposeFilesHaveNoPasswords(t *testing.T) {
	for _, file := range composeFiles(t) {
		asked := 0
		for _, variable := range variables {
			name, _, _ := strings.Cut(variable, "=")
			if name == "VERSION" || !strings.Contains(read(t, "docker", filepath.Base(file)), "${"+name) {
				continue
			}
			asked++
			without := slices.DeleteFunc(slices.Clone(variables), func(v string) bool { return v == variable })
			_, stderr, err := tool(t, "", append(without, name+"="), "composefile", file)
			require.Error(t, err, "%s loads without %s", file, name)
			require.Contains(t, stderr, name)
		}
		require.Positive(t, asked, file)
	}
}

// The servers in the compose files are of the versions that the tests run.
func TestComposeFilesHaveTestedVersions(t *testing.T) {
	milvus := regexp.MustCompile(`(?m)^milvus=milvus==(\S+)$`).FindStringSubmatch(read(t, "test", "servers", "install"))
	require.NotNil(t, milvus)
	image := loadCompose(t, filepath.Join(fixture.Root(t), "docker", "compose.milvus.yaml")).Services["milvus"].Image
	require.Equal(t, "milvusdb/milvus:v"+milvus[1], image)

	postgres := servers.Postgres(t)
	servers.NeedOwn(t, servers.PGVector, postgres.Managed())
	conn, err := pgx.Connect(t.Context(), postgres.DSN())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	var server, extension string
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT split_part(current_setting('server_version'), ' ', 1),
		(SELECT default_version FROM pg_available_extensions WHERE name = 'vector')`).Scan(&server, &extension))
	major, _, _ := strings.Cut(server, ".")
	image = loadCompose(t, filepath.Join(fixture.Root(t), "docker", "compose.pgvector.yaml")).Services["postgres"].Image
	require.Equal(t, "pgvector/pgvector:"+extension+"-pg"+major, image)
	require.Contains(t, read(t, "docker", "compose.pgvector.yaml"), "PostgreSQL "+server+" with pgvector "+extension)
}
