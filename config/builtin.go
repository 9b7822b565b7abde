package config

import (
	"embed"
	"io/fs"
)

//go:embed models/*.yaml
var manifests embed.FS

// BuiltinModels holds the manifests that ship with imago, NAME.yaml each. A
// network file beside them would be found as well: the place for models inside
// the binary.
var BuiltinModels fs.FS = sub(manifests, "models")

func sub(fsys fs.FS, dir string) fs.FS {
	folder, err := fs.Sub(fsys, dir)
	if err != nil {
		panic(err) // dir is not a valid path
	}
	return folder
}
