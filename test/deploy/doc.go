// Package deploy checks what docker/ holds against the code it deploys: the compose
// files, the Helm chart, the Kubernetes manifest and the systemd unit are valid by the
// rules of those who read them, the settings in them load, and versions agree.
package deploy
