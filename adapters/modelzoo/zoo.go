package modelzoo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"imago/config"
	"imago/config/regularfile"
	"imago/ports"
)

// Zoo is a folder of models over the built-in ones. It is safe for concurrent
// use, also by several processes over one folder.
type Zoo struct {
	dir     string
	builtin fs.FS
	client  *http.Client
	timing  timing

	mu   sync.Mutex
	temp *tempDir // nil until a package is needed
}

// New returns the models of a folder, which need not exist yet, over the
// manifests (and possibly network files) of builtin.
func New(dir string, builtin fs.FS) *Zoo {
	return &Zoo{dir: dir, builtin: builtin, client: newClient(), timing: defaultTiming}
}

// Entry is one model of a List.
type Entry struct {
	Name string
	// Manifest is what is known of the model; it is zero where Err is set.
	Manifest config.Manifest
	// Custom says that the manifest is in the models folder.
	Custom bool
	// Present says that the network file is there. It may still be a wrong one:
	// Verify tells.
	Present bool
	// Err says what is wrong with the manifest.
	Err error
}

// List returns every model, ordered by name. A broken manifest is an Entry with
// its Err and does not hide the others.
func (z *Zoo) List() ([]Entry, error) {
	custom, err := manifestsIn(regularfile.FS(z.dir))
	if err != nil {
		return nil, wrap(err)
	}
	builtin, err := manifestsIn(z.builtin)
	if err != nil {
		return nil, wrap(err)
	}
	names := slices.Concat(custom, builtin)
	slices.Sort(names)
	var entries []Entry
	for _, name := range slices.Compact(names) {
		e := Entry{Name: name, Custom: slices.Contains(custom, name)}
		if e.Manifest, e.Err = z.Manifest(name); e.Err == nil {
			_, found := z.locate(e.Manifest)
			e.Present = found
		}
		entries = append(entries, e)
	}
	return entries, nil
}

const manifestSuffix = ".yaml"

// manifestsIn returns the names of the manifests of a folder; one that does not
// exist has none.
func manifestsIn(fsys fs.FS) ([]string, error) {
	files, err := fs.ReadDir(fsys, ".")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, file := range files {
		name, ok := strings.CutSuffix(file.Name(), manifestSuffix)
		if ok && !file.IsDir() && !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	return names, nil
}

// Find returns the manifest of a model and the folder that holds its network
// file, which is not read: the one who loads the file verifies it.
//
// Errors: a Refusal of kind ErrNotFound when there is no such model or its file
// is missing, which says what to do about it; ErrInvalid when the manifest is
// broken.
func (z *Zoo) Find(name string) (config.Manifest, fs.FS, error) {
	m, err := z.Manifest(name)
	if err != nil {
		return config.Manifest{}, nil, err
	}
	fsys, found := z.locate(m)
	if !found {
		return config.Manifest{}, nil, z.missing(m)
	}
	return m, fsys, nil
}

// Manifest loads the manifest of a model from the folder or else the built-in
// one. A broken one in the folder is an error: it was put there to be used.
func (z *Zoo) Manifest(name string) (config.Manifest, error) {
	m, err := config.LoadManifest(regularfile.FS(z.dir), name)
	if errors.Is(err, fs.ErrNotExist) {
		m, err = config.LoadManifest(z.builtin, name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return config.Manifest{}, z.unknown(name)
	}
	if err != nil {
		return config.Manifest{}, fmt.Errorf("modelzoo: %w: %w", ports.ErrInvalid, err)
	}
	return m, nil
}

// locate returns the folder that holds the network file of a model.
func (z *Zoo) locate(m config.Manifest) (fs.FS, bool) {
	for _, fsys := range []fs.FS{regularfile.FS(z.dir), z.builtin} {
		if info, err := fs.Stat(fsys, m.File); err == nil && info.Mode().IsRegular() {
			return fsys, true
		}
	}
	return nil, false
}

// path returns where the network file of a model belongs.
func (z *Zoo) path(m config.Manifest) string { return filepath.Join(z.dir, m.File) }

// Verify reads the network file of a model and compares its size and SHA-256
// with the manifest.
//
// Errors: those of Find; a Refusal of kind ErrInvalid when the file is not the
// one that the manifest names; the context's error when it ends first.
func (z *Zoo) Verify(ctx context.Context, name string) error {
	m, fsys, err := z.Find(name)
	if err != nil {
		return err
	}
	return wrap(verify(ctx, fsys, m))
}

func verify(ctx context.Context, fsys fs.FS, m config.Manifest) error {
	file, err := fsys.Open(m.File)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != m.Size {
		return wrongFile(m, fmt.Sprintf("%d bytes", info.Size()), m.Size)
	}
	return verifyContent(ctx, file, m)
}

// verifyContent reads a file of the right size to its end.
func verifyContent(ctx context.Context, file io.Reader, m config.Manifest) error {
	hash, buffer := sha256.New(), make([]byte, bufferSize)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := file.Read(buffer)
		hash.Write(buffer[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); sum != m.SHA256 {
		return wrongFile(m, "SHA-256 "+sum, m.SHA256)
	}
	return nil
}
