package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"imago/config"
	"imago/test/fixture"
)

func read(t *testing.T, elem ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{fixture.Root(t)}, elem...)...))
	require.NoError(t, err)
	return string(data)
}

type compose struct {
	Services map[string]struct {
		Image       string
		Environment map[string]string
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
		Healthcheck map[string]any
		Volumes     []string
		ReadOnly    bool `yaml:"read_only"`
	}
	Volumes map[string]any
}

// substitution is a compose variable with its default or error text.
var substitution = regexp.MustCompile(`\$\{(\w+)(?::[-?]([^}]*))?\}`)

// Each compose file starts imago with settings that load, over the store it is
// named for, once what imago needs is healthy.
func TestComposeFiles(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(fixture.Root(t), "docker", "compose.*.yaml"))
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			var c compose
			require.NoError(t, yaml.Unmarshal([]byte(read(t, "docker", filepath.Base(file))), &c))
			imago := c.Services["imago"]
			require.True(t, imago.ReadOnly)
			var environ []string
			for name, value := range imago.Environment {
				environ = append(environ, name+"="+substitution.ReplaceAllString(value, "$2"))
			}
			cfg, err := config.Load("", environ)
			require.NoError(t, err)
			require.Equal(t, "compose."+cfg.Store.Driver+".yaml", filepath.Base(file))
			for name, dependency := range imago.DependsOn {
				require.Contains(t, c.Services, name)
				if dependency.Condition == "service_healthy" {
					require.NotEmpty(t, c.Services[name].Healthcheck, name)
				}
			}
			for name, service := range c.Services {
				for _, v := range service.Volumes {
					volume, _, _ := strings.Cut(v, ":")
					require.Contains(t, c.Volumes, volume, name)
				}
			}
		})
	}
}

// The settings that the image and the manifest set in the environment load.
func TestEnvironments(t *testing.T) {
	assignment := regexp.MustCompile(`(?m)\b(IMAGO_\w+)=(\S+)`)
	var environ []string
	for _, m := range assignment.FindAllStringSubmatch(read(t, "docker", "Dockerfile"), -1) {
		environ = append(environ, m[1]+"="+m[2])
	}
	require.GreaterOrEqual(t, len(environ), 4)
	_, err := config.Load("", environ)
	require.NoError(t, err)

	entry := regexp.MustCompile(`name: (IMAGO_\w+), value: "([^"]*)"`)
	environ = nil
	for _, m := range entry.FindAllStringSubmatch(read(t, "docker", "k8s-sidecar.yaml"), -1) {
		environ = append(environ, m[1]+"="+m[2])
	}
	require.Len(t, environ, 2)
	_, err = config.Load("", environ)
	require.NoError(t, err)
	var manifest map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "docker", "k8s-sidecar.yaml")), &manifest))
}

// The binding works with exactly one version of ONNX Runtime.
func TestRuntimeVersionMatchesTheBinding(t *testing.T) {
	binding := regexp.MustCompile(`yalue/onnxruntime_go v(\S+)`).FindStringSubmatch(read(t, "go.mod"))
	installed := regexp.MustCompile(`ORT_VERSION := (\S+)`).FindStringSubmatch(read(t, "Makefile"))
	require.NotNil(t, binding)
	require.NotNil(t, installed)
	require.Equal(t, binding[1], installed[1])
}
