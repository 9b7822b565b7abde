package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func load(t *testing.T, name string) Manifest {
	t.Helper()
	m, err := LoadManifest(BuiltinModels, name)
	require.NoError(t, err)
	return m
}

func TestBuiltinModels(t *testing.T) {
	files, err := fs.Glob(BuiltinModels, "*.yaml")
	require.NoError(t, err)
	require.Equal(t, []string{"mobilefacenet.yaml", "opencv-sface.yaml", "opencv-yunet.yaml", "yunet.yaml"}, files)
	for _, file := range files {
		m := load(t, strings.TrimSuffix(file, ".yaml"))
		require.NotEmpty(t, m.Source, "%s can be pulled", m.Name)
		require.Regexp(t, `/[0-9a-f]{40}/`, m.Source, "%s comes from a fixed commit", m.Name)
	}
}

// The models that the defaults name ship, each in its role.
func TestDefaultModelsShip(t *testing.T) {
	models := Default().Models
	require.Equal(t, KindDetector, load(t, models.Detector).Kind)
	require.Equal(t, KindEmbedder, load(t, models.Embedder).Kind)
}

func TestMobileFaceNetManifest(t *testing.T) {
	m := load(t, "mobilefacenet")
	require.Equal(t, ModelInput{
		Colour: "RGB", Scale: 1.0 / 255, Size: 112,
		Mean: [3]float64{0.485, 0.456, 0.406}, Std: [3]float64{0.229, 0.224, 0.225},
	}, m.Input)
	require.Equal(t, ModelOutput{Contract: ContractEmbedding, Dimension: 128}, m.Output)
	require.Equal(t, 0.414, m.Calibration.Midpoint)
	require.Equal(t, 20.9, m.Calibration.Steepness)
	require.False(t, m.Calibration.Provisional)
	require.Equal(t, []ErrorRate{{0.35, 4e-3}, {0.40, 1.2e-3}, {0.45, 3.5e-4}, {0.48, 1e-4}}, m.Calibration.FMR)
	require.Contains(t, m.Description, "Not for children")
}

func TestYuNetManifest(t *testing.T) {
	m := load(t, "yunet")
	require.Equal(t, ModelInput{Colour: "BGR", Scale: 1, Std: [3]float64{1, 1, 1}, Stride: 32}, m.Input)
	require.Equal(t, ModelOutput{Contract: ContractYuNet, IoU: 0.3}, m.Output)
	require.Nil(t, m.Calibration)
}

// A curve that nobody measured says so and claims no rates.
func TestProvisionalCalibration(t *testing.T) {
	c := load(t, "opencv-sface").Calibration
	require.True(t, c.Provisional)
	require.Empty(t, c.FMR)
}

func TestLoadManifestRefuses(t *testing.T) {
	for _, path := range matches(t, "testdata/manifests/*.yaml") {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			m, err := LoadManifest(os.DirFS(filepath.Dir(path)), name)
			require.ElementsMatch(t, wanted(t, path), problems(t, err))
			require.Zero(t, m)
		})
	}
}

func TestLoadManifestByName(t *testing.T) {
	fsys := fstest.MapFS{"dir.yaml/x": {}}
	_, err := LoadManifest(fsys, "absent")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = LoadManifest(fsys, "dir")
	require.Error(t, err)
	for _, name := range []string{"", "../yunet", "a/b", "Yunet", "a\nb"} {
		_, err := LoadManifest(fsys, name)
		require.ErrorContains(t, err, "model name", name)
		require.NotErrorIs(t, err, fs.ErrNotExist, name)
	}
}
