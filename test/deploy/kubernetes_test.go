package deploy

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"imago/config"
	"imago/test/fixture"
	"imago/test/servers"
)

// object is what the tests look at in a rendered manifest.
type object struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Replicas     int
		MinAvailable any
		Ports        []struct {
			Port       int
			TargetPort any `yaml:"targetPort"`
		}
		Template struct {
			Spec struct {
				Automount      *bool       `yaml:"automountServiceAccountToken"`
				Grace          int         `yaml:"terminationGracePeriodSeconds"`
				InitContainers []container `yaml:"initContainers"`
				Containers     []container
				Volumes        []map[string]any
			}
		}
	}
}

type container struct {
	Name      string
	Image     string
	Command   []string
	Resources struct{ Requests, Limits map[string]string }
	Env       []struct {
		Name, Value string
		ValueFrom   struct {
			SecretKeyRef struct{ Name, Key string } `yaml:"secretKeyRef"`
		} `yaml:"valueFrom"`
	}
	Ports []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
	ReadinessProbe, LivenessProbe map[string]any
	Lifecycle                     struct {
		PreStop struct{ Exec struct{ Command []string } } `yaml:"preStop"`
	}
}

// objects are the documents of a rendered manifest.
func objects(t *testing.T, manifest string) (all []object) {
	t.Helper()
	for documents := yaml.NewDecoder(strings.NewReader(manifest)); ; {
		var o object
		err := documents.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		if o.Kind != "" {
			all = append(all, o)
		}
	}
}

func kinds(all []object) (names []string) {
	for _, o := range all {
		names = append(names, o.Kind)
	}
	return names
}

// one returns the only object of one of the kinds.
func one(t *testing.T, all []object, kind ...string) (found object) {
	t.Helper()
	for _, o := range all {
		for _, k := range kind {
			if o.Kind == k {
				require.Empty(t, found.Kind, "a second %s", k)
				found = o
			}
		}
	}
	require.NotEmpty(t, found.Kind, "no %v", kind)
	return found
}

// chart is the folder of the Helm chart.
func chart(t *testing.T) string { return filepath.Join(fixture.Root(t), "docker", "helm", "imago") }

func render(t *testing.T, args ...string) string {
	t.Helper()
	return mustTool(t, "", nil, "helm", append([]string{"template", "gateway", chart(t), "--kube-version", "1.29.0"}, args...)...)
}

// values writes a values file and returns the arguments that name it.
func values(t *testing.T, text string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return []string{"--values", file}
}

// ownGateway is a gateway of somebody else's in place of nginx.
const ownGateway = `
gateway:
  container:
    name: portal
    image: registry.example/portal:7.1
    ports: [{name: http, containerPort: 9000}]
    securityContext: {runAsUser: 2000, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: portal, mountPath: /etc/portal}]
  volumes: [{name: portal, configMap: {name: portal}}]
`

// everything turns every option on.
const everything = `
gateway: {enabled: false}
replicas: 3
image: {repository: registry.example/imago, digest: "sha256:` + digest + `"}
imagePullSecrets: [{name: registry}]
auth: {keysFile: keys.yaml}
store: {driver: milvus, milvus: {address: "milvus:19530", tls: true, existingSecret: milvus}}
config:
  server: {trusted_proxies: [10.0.0.0/8]}
  collections: [{name: vip, shared: false, require_token: false, threshold: 90}]
  audit: {path: "-"}
timeouts: {drainDelay: 3, request: 20, shutdown: 40}
service: {type: LoadBalancer, port: 8443, annotations: {a: b}}
ingress: {enabled: true, className: nginx, annotations: {a: b}, host: faces.example, tlsSecret: faces}
networkPolicy:
  clients: [{podSelector: {matchLabels: {app: portal}}}]
  egress: [{ports: [{port: 19530}]}]
serviceMonitor: {enabled: true, labels: {release: prometheus}}
podDisruptionBudget: {maxUnavailable: 50%}
podAnnotations: {a: b}
podLabels: {a: b}
nodeSelector: {a: b}
tolerations: [{key: a, operator: Exists}]
affinity: {nodeAffinity: {}}
topologySpreadConstraints: [{topologyKey: zone, maxSkew: 1, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app.kubernetes.io/name: imago}}}]
`

const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// Whatever its values, what the chart renders is what the Kubernetes API server
// accepts without a warning, in a namespace that enforces "restricted", and imago starts
// with it: its settings load, and it gets the time to stop. Helm's linter has nothing to
// say.
func TestChart(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []string
		driver string
		kinds  []string
	}{
		{"sidecar", nil, "memory", []string{"NetworkPolicy", "ConfigMap", "Service", "Service", "StatefulSet"}},
		{"sidecar of another gateway", values(t, ownGateway), "memory", []string{"NetworkPolicy", "Service", "Service", "StatefulSet"}},
		{"sidecars over PostgreSQL", values(t, "replicas: 2\nstore: {driver: pgvector}\n"), "pgvector",
			[]string{"NetworkPolicy", "PodDisruptionBudget", "ConfigMap", "Service", "Service", "Deployment"}},
		{"standalone", []string{"--values", filepath.Join(chart(t), "standalone.yaml")}, "pgvector",
			[]string{"NetworkPolicy", "PodDisruptionBudget", "Service", "Service", "Deployment"}},
		{"standalone with a file", values(t, "gateway: {enabled: false}\nstore: {memory: {storageClassName: fast}}\n"), "memory",
			[]string{"NetworkPolicy", "Service", "Service", "StatefulSet"}},
		{"everything", values(t, everything), "milvus",
			[]string{"NetworkPolicy", "PodDisruptionBudget", "ConfigMap", "Service", "Service", "Deployment", "Ingress", "ServiceMonitor"}},
		{"bare", values(t, "networkPolicy: {enabled: false}\npodDisruptionBudget: {enabled: false}\nstore: {driver: pgvector}\nreplicas: 2\n"), "pgvector",
			[]string{"ConfigMap", "Service", "Service", "Deployment"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			mustTool(t, "", nil, "helm", append([]string{"lint", "--strict", "--quiet", chart(t)}, c.values...)...)
			manifest := render(t, c.values...)
			mustTool(t, manifest, nil, "manifest")
			all := objects(t, manifest)
			require.ElementsMatch(t, c.kinds, kinds(all))
			cfg := requireManifest(t, all)
			require.Equal(t, c.driver, cfg.Store.Driver)
		})
	}
}

// requireManifest checks what manifest does not know: that imago's settings load, where
// it listens, and that everybody may stop in time. It returns the settings.
func requireManifest(t *testing.T, all []object) config.Config {
	t.Helper()
	pod := one(t, all, "StatefulSet", "Deployment").Spec.Template.Spec
	require.NotNil(t, pod.Automount)
	require.False(t, *pod.Automount)
	sidecar := len(pod.InitContainers) == 1
	imago := pod.Containers[0]
	if sidecar {
		imago = pod.InitContainers[0]
	}
	require.Equal(t, "imago", imago.Name)
	require.NotEmpty(t, imago.Resources.Requests["cpu"])
	require.NotEmpty(t, imago.Resources.Limits["memory"])

	cfg := settings(t, all, imago)
	needed := int(cfg.Server.Timeouts.DrainDelay+cfg.Server.Timeouts.Shutdown) / 1e9
	require.Positive(t, cfg.Server.Timeouts.DrainDelay)
	require.Greater(t, pod.Grace, needed)
	if sidecar {
		require.Equal(t, "127.0.0.1:8080", cfg.Server.Listen)
		require.Equal(t, []string{"127.0.0.1"}, cfg.Server.TrustedProxies)
		require.NotEqual(t, imago.Ports[0].ContainerPort, pod.Containers[0].Ports[0].ContainerPort)
		require.GreaterOrEqual(t, pod.Grace, needed+int(cfg.Server.Timeouts.DrainDelay+cfg.Server.Timeouts.Request)/1e9, "the gateway stops first")
	} else {
		require.Equal(t, ":8080", cfg.Server.Listen)
	}
	require.Equal(t, ":8081", cfg.Server.OpsListen)
	return cfg
}

// settings loads what the manifest sets for imago, with words in place of secrets.
func settings(t *testing.T, all []object, imago container) config.Config {
	t.Helper()
	var file string
	var environ []string
	for _, e := range imago.Env {
		switch {
		case e.Name == "IMAGO_CONFIG":
			file = filepath.Join(t.TempDir(), "imago.yaml")
			require.NoError(t, os.WriteFile(file, []byte(one(t, all, "ConfigMap").Data["imago.yaml"]), 0o600))
		case e.ValueFrom.SecretKeyRef.Name != "":
			require.Empty(t, e.Value)
			environ = append(environ, e.Name+"=postgres://user:password@host/"+e.ValueFrom.SecretKeyRef.Key)
		default:
			environ = append(environ, e.Name+"="+e.Value)
		}
	}
	cfg, err := config.Load(file, environ)
	require.NoError(t, err)
	return cfg
}

// Values that would not work are refused by their schema.
func TestChartRefusesBadValues(t *testing.T) {
	for name, c := range map[string]struct{ values, says string }{
		"two imagos on one file":     {"replicas: 2", "replicas"},
		"a misspelt value":           {"replica: 1", "replica"},
		"a misspelt value below":     {"store: {pgvector: {existingsecret: x}}", "existingsecret"},
		"an unknown store":           {"store: {driver: redis}", "driver"},
		"Milvus nowhere":             {"store: {driver: milvus}", "address"},
		"an ingress without a host":  {"ingress: {enabled: true}", "host"},
		"a gateway without its port": {"gateway: {container: {name: portal, image: portal:1, ports: [{containerPort: 80}]}}", "container"},
		"no key":                     {"auth: {apiKey: ''}", "apiKey"},
		"a duration with a unit":     {"timeouts: {drainDelay: 10s}", "drainDelay"},
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr, err := tool(t, "", nil, "helm", append([]string{"template", "gateway", chart(t)}, values(t, c.values)...)...)
			require.Error(t, err)
			require.Contains(t, stderr, c.says)
		})
	}
}

// What an operator reads after the installation names every Secret that the pods wait
// for, and how it is made.
func TestChartTellsHowToMakeSecrets(t *testing.T) {
	for name, args := range map[string][]string{"sidecar": nil, "standalone": {"--values", filepath.Join(chart(t), "standalone.yaml")}, "everything": values(t, everything)} {
		t.Run(name, func(t *testing.T) {
			notes := mustTool(t, "", nil, "helm", append([]string{"install", "gateway", chart(t), "--dry-run=client"}, args...)...)
			_, notes, found := strings.Cut(notes, "NOTES:")
			require.True(t, found)
			secrets := regexp.MustCompile(`secretKeyRef: \{name: ([\w-]+), key: ([\w.-]+)\}|secretName: (\S+)\n\s+defaultMode`).FindAllStringSubmatch(render(t, args...), -1)
			require.NotEmpty(t, secrets)
			for _, s := range secrets {
				require.Contains(t, notes, "create secret generic "+s[1]+s[3])
				require.Contains(t, notes, s[2])
			}
		})
	}
}

// manifestHead is the beginning of docker/k8s-sidecar.yaml; the rest is rendered.
const manifestHead = `# imago as a sidecar of a gateway, for Kubernetes 1.29 or newer (native sidecars): nginx
# with docker/nginx.conf, and imago on 127.0.0.1 of the same pod, where nobody but the
# gateway reaches it. It is the Helm chart beside it with its default values, made by
# IMAGO_UPDATE_MANIFEST=1 go test -run ManifestIsTheChart ./test/deploy
#
# Name your image in place of imago:dev, then make the Secret, once, and start:
#   kubectl create secret generic imago --from-literal=api-key="$(head -c 24 /dev/urandom | base64)"
#   kubectl apply -f docker/k8s-sidecar.yaml
# A gateway of your own: replace the container gateway and what it mounts, keep the rest.
`

// The manifest is the chart with its default values.
func TestManifestIsTheChart(t *testing.T) {
	manifest := manifestHead + regexp.MustCompile(`(?m)^(# Source: .*| *app.kubernetes.io/managed-by: .*| *helm.sh/chart: .*)\n`).ReplaceAllString(render(t), "")
	file := filepath.Join(fixture.Root(t), "docker", "k8s-sidecar.yaml")
	if os.Getenv("IMAGO_UPDATE_MANIFEST") != "" {
		require.NoError(t, os.WriteFile(file, []byte(manifest), 0o644))
	}
	require.Equal(t, manifest, read(t, "docker", "k8s-sidecar.yaml"), "run IMAGO_UPDATE_MANIFEST=1 go test -run ManifestIsTheChart ./test/deploy")
}

// The manifest works as it is: the API server accepts it, imago's settings load, and the
// gateway is nginx with docker/nginx.conf, starts, and looks for imago where it listens.
func TestManifest(t *testing.T) {
	manifest := read(t, "docker", "k8s-sidecar.yaml")
	mustTool(t, manifest, nil, "manifest")
	all := objects(t, manifest)
	cfg := requireManifest(t, all)

	gateway := one(t, all, "StatefulSet").Spec.Template.Spec.Containers[0]
	data := one(t, all, "ConfigMap").Data
	require.Equal(t, read(t, "docker", "nginx.conf"), data["nginx.conf"])
	require.Equal(t, "server "+cfg.Server.Listen+" max_fails=0;\n", data["upstream.conf"])
	listens := regexp.MustCompile(`(?m)^\s*listen (\d+);`).FindStringSubmatch(data["nginx.conf"])
	require.NotNil(t, listens)
	port, err := json.Marshal(gateway.Ports[0].ContainerPort)
	require.NoError(t, err)
	require.Equal(t, listens[1], string(port))

	// For real, at free ports.
	binary, key := filepath.Join(t.TempDir(), "imago"), "a key of the test of the manifest"
	require.NoError(t, fixture.Build(binary))
	environ := []string{}
	for _, e := range one(t, all, "StatefulSet").Spec.Template.Spec.InitContainers[0].Env {
		if e.Value != "" {
			environ = append(environ, e.Name+"="+e.Value)
		}
	}
	imago := fixture.Serve(t, binary, key, append(environ, "IMAGO_SERVER_LISTEN=127.0.0.1:0", "IMAGO_SERVER_OPS_LISTEN=",
		"IMAGO_SERVER_TIMEOUTS_DRAIN_DELAY=0s", "IMAGO_STORE_MEMORY_PATH="+filepath.Join(t.TempDir(), "imago.db"))...)
	nginx := servers.OwnNginx(t, data["nginx.conf"], strings.ReplaceAll(data["upstream.conf"], cfg.Server.Listen, imago.Address))
	body, err := json.Marshal(map[string][]byte{"face": fixture.ReadPortrait(t, "obama.jpg")})
	require.NoError(t, err)
	for _, path := range []string{"/users/obama", "/users/search"} {
		require.Equal(t, http.StatusOK, post(t, nginx.URL()+path, key, body), path)
	}
}

// A mistake in a manifest is found: each of these was made by somebody.
func TestManifestMistakesAreFound(t *testing.T) {
	good := read(t, "docker", "k8s-sidecar.yaml")
	for name, c := range map[string]struct{ old, bad, says string }{
		"a misspelt field":          {"terminationGracePeriodSeconds:", "terminationGracePeriod:", "terminationGracePeriod"},
		"a volume that is missing":  {"- {name: tmp, mountPath: /tmp}", "- {name: temp, mountPath: /tmp}", "temp"},
		"a probe of a missing port": {"httpGet: {path: /healthz, port: ops}", "httpGet: {path: /healthz, port: 0}", "port"},
		"a privileged container":    {"allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "allowPrivilegeEscalation"},
		"another selector":          {"matchLabels:\n      app.kubernetes.io/name: imago", "matchLabels:\n      app.kubernetes.io/name: other", "selector"},
		"a number for a text":       {`value: "10s"`, `value: 10`, "value"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, good, c.old)
			_, stderr, err := tool(t, strings.ReplaceAll(good, c.old, c.bad), nil, "manifest")
			require.Error(t, err)
			require.Contains(t, stderr, c.says)
		})
	}
}
