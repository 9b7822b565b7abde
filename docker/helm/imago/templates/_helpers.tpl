{{- define "imago.name" -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "imago.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "imago.labels" -}}
{{ include "imago.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "imago.image" -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end }}

{{- /* The configuration file: config over what no value sets. */ -}}
{{- define "imago.configmap" -}}
{{- if .Values.config }}
imago.yaml: |
  {{- toYaml .Values.config | nindent 2 }}
{{- end }}
{{- if and .Values.gateway.enabled (not .Values.gateway.container) }}
upstream.conf: |
  server 127.0.0.1:8080 max_fails=0;
nginx.conf: |
  {{- .Files.Get "files/nginx.conf" | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Long enough for what follows the order to stop. The gateway stops first: it
serves on for the drain delay and finishes its requests. Then imago does the same. */ -}}
{{- define "imago.grace" -}}
{{- $t := .Values.timeouts -}}
{{- $imago := add $t.drainDelay $t.shutdown 5 -}}
{{- if .Values.gateway.enabled }}{{ add $imago $t.drainDelay $t.request }}{{ else }}{{ $imago }}{{ end -}}
{{- end }}

{{- define "imago.locked" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "imago.container" -}}
name: imago
image: {{ include "imago.image" (dict "repository" .Values.image.repository "tag" (.Values.image.tag | default .Chart.AppVersion) "digest" .Values.image.digest) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- if .Values.gateway.enabled }}
restartPolicy: Always # a native sidecar: up before the gateway, and stopped after it
{{- end }}
env:
  {{- if .Values.config }}
  - {name: IMAGO_CONFIG, value: /etc/imago/imago.yaml}
  {{- end }}
  {{- if .Values.gateway.enabled }}
  - {name: IMAGO_SERVER_LISTEN, value: "127.0.0.1:8080"}
  - {name: IMAGO_SERVER_TRUSTED_PROXIES, value: "127.0.0.1"}
  {{- else }}
  - {name: IMAGO_SERVER_LISTEN, value: ":8080"}
  {{- end }}
  - {name: IMAGO_SERVER_OPS_LISTEN, value: ":8081"}
  - {name: IMAGO_SERVER_TIMEOUTS_DRAIN_DELAY, value: "{{ .Values.timeouts.drainDelay }}s"}
  - {name: IMAGO_SERVER_TIMEOUTS_REQUEST, value: "{{ .Values.timeouts.request }}s"}
  - {name: IMAGO_SERVER_TIMEOUTS_SHUTDOWN, value: "{{ .Values.timeouts.shutdown }}s"}
  {{- if .Values.auth.keysFile }}
  - {name: IMAGO_AUTH_KEYS_FILE, value: "/etc/imago-keys/{{ .Values.auth.keysFile }}"}
  {{- else }}
  - name: IMAGO_API_KEY
    valueFrom: {secretKeyRef: {name: {{ .Values.auth.existingSecret }}, key: {{ .Values.auth.apiKey }}}}
  {{- end }}
  - {name: IMAGO_STORE_DRIVER, value: {{ .Values.store.driver }}}
  {{- with .Values.store }}
  {{- if eq .driver "memory" }}
  - {name: IMAGO_STORE_MEMORY_PATH, value: /data/imago.db}
  {{- else if eq .driver "pgvector" }}
  - name: IMAGO_STORE_PGVECTOR_DSN
    valueFrom: {secretKeyRef: {name: {{ .pgvector.existingSecret }}, key: {{ .pgvector.dsn }}}}
  {{- else }}
  - {name: IMAGO_STORE_MILVUS_ADDRESS, value: {{ .milvus.address | quote }}}
  - {name: IMAGO_STORE_MILVUS_TLS, value: {{ .milvus.tls | quote }}}
  {{- with .milvus.existingSecret }}
  - name: IMAGO_STORE_MILVUS_USERNAME
    valueFrom: {secretKeyRef: {name: {{ . }}, key: username}}
  - name: IMAGO_STORE_MILVUS_PASSWORD
    valueFrom: {secretKeyRef: {name: {{ . }}, key: password}}
  {{- end }}
  {{- end }}
  {{- end }}
ports:
  {{- if not .Values.gateway.enabled }}
  - {name: http, containerPort: 8080}
  {{- end }}
  - {name: ops, containerPort: 8081}
startupProbe:
  httpGet: {path: /readyz, port: ops}
  periodSeconds: 1
  failureThreshold: 120
readinessProbe:
  httpGet: {path: /readyz, port: ops}
  periodSeconds: 5
  timeoutSeconds: 5
livenessProbe:
  httpGet: {path: /healthz, port: ops}
  periodSeconds: 10
  timeoutSeconds: 5
resources: {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  runAsUser: 10001
  {{- include "imago.locked" . | nindent 2 }}
volumeMounts:
  {{- if .Values.config }}
  - {name: config, mountPath: /etc/imago, readOnly: true}
  {{- end }}
  {{- if .Values.auth.keysFile }}
  - {name: keys, mountPath: /etc/imago-keys, readOnly: true}
  {{- end }}
  # The image declares /data a volume, so something must be mounted there.
  - {name: gallery, mountPath: /data}
{{- end }}

{{- define "imago.gateway" -}}
{{- if .Values.gateway.container -}}
{{ toYaml .Values.gateway.container }}
{{- else -}}
name: gateway
image: {{ .Values.gateway.image }}
command: [nginx, -e, stderr, -c, /etc/gateway/nginx.conf, -g, "daemon off;"]
ports:
  - {name: http, containerPort: 8000}
readinessProbe:
  tcpSocket: {port: http}
  periodSeconds: 5
livenessProbe:
  tcpSocket: {port: http}
  periodSeconds: 10
lifecycle:
  # Requests arrive until every node knows that this pod is leaving. Then the image's
  # stop signal, SIGQUIT, lets nginx finish what it has.
  preStop: {exec: {command: [sleep, {{ .Values.timeouts.drainDelay | quote }}]}}
resources: {{- toYaml .Values.gateway.resources | nindent 2 }}
securityContext:
  runAsUser: 101
  {{- include "imago.locked" . | nindent 2 }}
volumeMounts:
  - {name: gateway, mountPath: /etc/gateway, readOnly: true}
  - {name: tmp, mountPath: /tmp}
{{- end }}
{{- end }}

{{- define "imago.peers" -}}
{{- if .Values.networkPolicy.clients -}}
from: {{- toYaml .Values.networkPolicy.clients | nindent 2 }}
{{- else if not .Values.gateway.enabled -}}
from: [{podSelector: {}}]
{{- end }}
{{- end }}
