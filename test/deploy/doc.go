// Package deploy checks what docker/ holds against the code it deploys: the
// settings in the compose files and the manifest load, and versions agree.
package deploy
