package deploy

import (
	"errors"
	"io"
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
		Configs     []struct{ Source, Target string }
		NetworkMode string `yaml:"network_mode"`
		ReadOnly    bool   `yaml:"read_only"`
		Ports       []string
	}
	Configs map[string]struct{ Content string }
	Volumes map[string]any
}

// substitution is a compose variable with its default or error text.
var substitution = regexp.MustCompile(`\$\{(\w+)(?::[-?]([^}]*))?\}`)

// Each compose file starts imago with settings that load, over the store it is
// named for, once what imago needs is healthy.
func TestComposeFiles(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(fixture.Root(t), "docker", "compose.*.yaml"))
	require.NoError(t, err)
	require.Len(t, files, 5)
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
			if gateway, there := c.Services["gateway"]; there {
				require.Empty(t, imago.Ports, "the gateway alone is reached from outside")
				require.True(t, gateway.ReadOnly)
				requireUpstream(t, c, cfg.Server)
			} else {
				require.Equal(t, "compose."+cfg.Store.Driver+".yaml", filepath.Base(file))
			}
			for name, dependency := range imago.DependsOn {
				require.Contains(t, c.Services, name)
				if dependency.Condition == "service_healthy" {
					require.NotEmpty(t, c.Services[name].Healthcheck, name)
				}
			}
			for name, service := range c.Services {
				for _, v := range service.Volumes {
					volume, _, _ := strings.Cut(v, ":")
					if path, relative := strings.CutPrefix(volume, "./"); relative {
						require.FileExists(t, filepath.Join(fixture.Root(t), "docker", path))
						continue
					}
					require.Contains(t, c.Volumes, volume, name)
				}
			}
		})
	}
}

// requireUpstream checks that the gateway looks for imago where it listens, and that
// imago believes it.
func requireUpstream(t *testing.T, c compose, s config.Server) {
	t.Helper()
	gateway := c.Services["gateway"]
	require.Len(t, gateway.Configs, 1)
	require.Equal(t, "/etc/nginx/upstream.conf", gateway.Configs[0].Target)
	upstream := c.Configs[gateway.Configs[0].Source].Content
	path, socket := strings.CutPrefix(s.Listen, "unix://")
	if !socket {
		require.Equal(t, "service:gateway", c.Services["imago"].NetworkMode)
		require.Equal(t, "server "+s.Listen+" max_fails=0;\n", upstream)
		require.Equal(t, []string{"127.0.0.1"}, s.TrustedProxies)
		return
	}
	require.Equal(t, "none", c.Services["imago"].NetworkMode)
	require.Equal(t, "server unix:"+path+" max_fails=0;\n", upstream)
	require.Equal(t, []string{config.UnixProxy}, s.TrustedProxies)
	require.Contains(t, c.Services["imago"].Volumes, "socket:"+filepath.Dir(path))
	require.Contains(t, gateway.Volumes, "socket:"+filepath.Dir(path)+":ro")
}

// The settings that the image and the manifest set in the environment load.
func TestEnvironments(t *testing.T) {
	assignment := regexp.MustCompile(`(?m)\b(IMAGO_\w+)=(\S+)`)
	var environ []string
	for _, m := range assignment.FindAllStringSubmatch(read(t, "docker", "Dockerfile"), -1) {
		environ = append(environ, m[1]+"="+m[2])
	}
	require.GreaterOrEqual(t, len(environ), 4)
	cfg, err := config.Load("", environ)
	require.NoError(t, err)
	require.Contains(t, read(t, "docker", "Dockerfile"), "COPY --from=build /out/models "+cfg.Models.Dir+"\n", "the models are in the image")

	entry := regexp.MustCompile(`name: (IMAGO_\w+), value: "([^"]*)"`)
	environ = nil
	for _, m := range entry.FindAllStringSubmatch(read(t, "docker", "k8s-sidecar.yaml"), -1) {
		environ = append(environ, m[1]+"="+m[2])
	}
	require.Len(t, environ, 2)
	_, err = config.Load("", environ)
	require.NoError(t, err)
}

// Every container of the manifest is locked, the pod has no token, and a policy says
// who reaches it.
func TestManifestIsLocked(t *testing.T) {
	type container struct {
		Name            string
		SecurityContext struct {
			AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
			Capabilities             struct{ Drop []string }
		} `yaml:"securityContext"`
	}
	kinds := map[string]bool{}
	documents := yaml.NewDecoder(strings.NewReader(read(t, "docker", "k8s-sidecar.yaml")))
	for {
		var manifest struct {
			Kind string
			Spec struct {
				Template struct {
					Spec struct {
						Automount      *bool       `yaml:"automountServiceAccountToken"`
						InitContainers []container `yaml:"initContainers"`
						Containers     []container
					}
				}
			}
		}
		if err := documents.Decode(&manifest); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		kinds[manifest.Kind] = true
		pod := manifest.Spec.Template.Spec
		if len(pod.Containers) == 0 {
			continue
		}
		require.NotNil(t, pod.Automount)
		require.False(t, *pod.Automount)
		for _, c := range append(pod.InitContainers, pod.Containers...) {
			require.NotNil(t, c.SecurityContext.AllowPrivilegeEscalation, c.Name)
			require.False(t, *c.SecurityContext.AllowPrivilegeEscalation, c.Name)
			require.True(t, c.SecurityContext.ReadOnlyRootFilesystem, c.Name)
			require.Equal(t, []string{"ALL"}, c.SecurityContext.Capabilities.Drop, c.Name)
		}
	}
	require.True(t, kinds["StatefulSet"] && kinds["NetworkPolicy"], kinds)
}

// No compose file has a password that everybody knows.
func TestComposeFilesHaveNoPasswords(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(fixture.Root(t), "docker", "compose.*.yaml"))
	require.NoError(t, err)
	for _, file := range files {
		require.NotRegexp(t, `\$\{\w+:-`, read(t, "docker", filepath.Base(file)), file)
	}
}

// The notice in the image is about the models that are in it, and nothing is left to be
// pulled before imago can start.
func TestModelsAreInTheImage(t *testing.T) {
	notice, models := read(t, "docker", "NOTICE.models"), config.Default().Models
	for _, name := range []string{models.Detector, models.Embedder} {
		m, err := config.LoadManifest(config.BuiltinModels, name)
		require.NoError(t, err)
		require.Contains(t, notice, m.File)
		require.Contains(t, notice, m.SHA256)
		require.Contains(t, notice, m.Licence)
	}
	files, err := filepath.Glob(filepath.Join(fixture.Root(t), "docker", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		require.NotContains(t, read(t, "docker", filepath.Base(file)), "pull]", file)
		require.NotContains(t, read(t, "docker", filepath.Base(file)), "/models", file)
	}
}

// The binding works with exactly one version of ONNX Runtime.
func TestRuntimeVersionMatchesTheBinding(t *testing.T) {
	binding := regexp.MustCompile(`yalue/onnxruntime_go v(\S+)`).FindStringSubmatch(read(t, "go.mod"))
	installed := regexp.MustCompile(`ORT_VERSION := (\S+)`).FindStringSubmatch(read(t, "Makefile"))
	require.NotNil(t, binding)
	require.NotNil(t, installed)
	require.Equal(t, binding[1], installed[1])
}
