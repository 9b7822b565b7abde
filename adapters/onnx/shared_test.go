package onnx

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/test/fixture"
)

// The manifests of the development models, as their README describes them.

func yunetManifest() config.Manifest {
	return config.Manifest{
		Name: "yunet", Kind: config.KindDetector, File: "yunet.onnx",
		SHA256: "104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12",
		Input:  config.ModelInput{Colour: "BGR", Scale: 1, Std: [3]float64{1, 1, 1}, Stride: 32},
		Output: config.ModelOutput{Contract: config.ContractYuNet, IoU: 0.3},
	}
}

func yunetFixedManifest() config.Manifest {
	m := yunetManifest()
	m.Name, m.File = "yunet-640", "face_detection_yunet_2023mar.onnx"
	m.SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
	m.Input.Size = 640
	return m
}

func mobilefacenetManifest() config.Manifest {
	return config.Manifest{
		Name: "mobilefacenet", Kind: config.KindEmbedder, File: "mobilefacenet.onnx",
		SHA256: "b7120c095d60094f28a4a54ba6a8bf51b297a6273fb40ef6350dfec1f63d9507",
		Input: config.ModelInput{
			Colour: "RGB", Scale: 1.0 / 255, Size: 112,
			Mean: [3]float64{0.485, 0.456, 0.406}, Std: [3]float64{0.229, 0.224, 0.225},
		},
		Output: config.ModelOutput{Contract: config.ContractEmbedding, Dimension: 128},
	}
}

// realModel returns a development model; the test is skipped where there is
// none.
func realModel(tb testing.TB, name string) Model {
	tb.Helper()
	manifests := map[string]config.Manifest{}
	for _, m := range []config.Manifest{yunetManifest(), yunetFixedManifest(), mobilefacenetManifest()} {
		manifests[m.Name] = m
	}
	m := manifests[name]
	dir := fixture.Models(tb)
	info, err := os.Stat(filepath.Join(dir, m.File))
	require.NoError(tb, err)
	m.Size = info.Size()
	return Model{Manifest: m, FS: os.DirFS(dir)}
}
