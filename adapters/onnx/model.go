package onnx

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"imago/config"
)

// Model is a network and where its file is: Manifest.File in FS, which is
// os.DirFS of the models folder or the files inside the binary.
type Model struct {
	Manifest config.Manifest
	FS       fs.FS
}

// read returns the content of the network file after checking that it has the
// size and the SHA-256 of the manifest. It reads at most Manifest.Size bytes.
func (m Model) read() ([]byte, error) {
	data, err := m.readSized()
	if err != nil {
		return nil, m.wrap(err)
	}
	sum := sha256.Sum256(data)
	if got := hex.EncodeToString(sum[:]); got != m.Manifest.SHA256 {
		return nil, m.wrap(fmt.Errorf("%s has SHA-256 %s, its manifest says %s; %s", m.Manifest.File, got, m.Manifest.SHA256, m.remedy()))
	}
	return data, nil
}

func (m Model) readSized() ([]byte, error) {
	if m.FS == nil {
		return nil, errors.New("no models folder is set")
	}
	file, err := m.FS.Open(m.Manifest.File)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() != m.Manifest.Size || m.Manifest.Size <= 0 {
		return nil, fmt.Errorf("%s has %d bytes, its manifest says %d; %s", m.Manifest.File, info.Size(), m.Manifest.Size, m.remedy())
	}
	data := make([]byte, m.Manifest.Size)
	_, err = io.ReadFull(file, data)
	return data, err
}

// remedy tells what to do about a file that does not match the manifest.
func (m Model) remedy() string {
	return fmt.Sprintf("run \"imago models pull %s\" to fetch the file again, or correct the manifest", m.Manifest.Name)
}

// wrap adds the model's name to an error.
func (m Model) wrap(err error) error {
	return fmt.Errorf("onnx: model %s: %w", m.Manifest.Name, err)
}
