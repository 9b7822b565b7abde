package onnx

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	ort "github.com/yalue/onnxruntime_go"
	"google.golang.org/protobuf/encoding/protowire"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/onnxgraph"
)

// bytesOf returns the file of a model.
func bytesOf(tb testing.TB, m Model) []byte {
	tb.Helper()
	data, err := m.read()
	require.NoError(tb, err)
	return data
}

// declared returns the names of a network's outputs.
func declared(tb testing.TB, data []byte) (names []string) {
	tb.Helper()
	_, outputs, err := ort.GetInputOutputInfoWithONNXData(data)
	require.NoError(tb, err)
	for _, o := range outputs {
		names = append(names, o.Name)
	}
	return names
}

// What is left of a network answers what it did, and what is left out is gone.
func TestPrune(t *testing.T) {
	startRuntime(t)
	data := bytesOf(t, realModel(t, config.Default().Models.Detector))
	for _, wanted := range [][]string{{"kps_16", "cls_32"}, {"obj_8"}, declared(t, data)} {
		pruned, err := prune(data, wanted)
		require.NoError(t, err)
		require.ElementsMatch(t, wanted, declared(t, pruned))
		require.Equal(t, len(wanted) < 12, len(pruned) < len(data)*9/10, "%v: %d of %d bytes", wanted, len(pruned), len(data))
		require.Equal(t, answers(t, data, wanted), answers(t, pruned, wanted))
	}
}

// The order of the nodes does not matter.
func TestPruneInAnyOrder(t *testing.T) {
	startRuntime(t)
	data := bytesOf(t, realModel(t, config.Default().Models.Detector))
	all, err := fields(data)
	require.NoError(t, err)
	at := slices.IndexFunc(all, func(p part) bool { return p.number == modelGraph })
	graph, err := fields(all[at].content)
	require.NoError(t, err)
	shuffled := slices.Clone(graph)
	random := rand.New(rand.NewPCG(3, 4))
	random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	kept := func(graph []part) (nodes map[string]bool) {
		var raw []byte
		for _, p := range graph {
			raw = append(raw, p.raw...)
		}
		pruned, err := pruneGraph(raw, []string{"kps_16", "cls_32"})
		require.NoError(t, err)
		left, err := fields(pruned)
		require.NoError(t, err)
		nodes = map[string]bool{}
		for _, p := range left {
			nodes[string(p.raw)] = true
		}
		return nodes
	}
	require.Equal(t, kept(graph), kept(shuffled))
}

// answers runs a network over noise.
func answers(t *testing.T, data []byte, outputs []string) (all [][]float32) {
	t.Helper()
	options, err := sessionOptions(1)
	require.NoError(t, err)
	defer func() { require.NoError(t, options.Destroy()) }()
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(data, []string{"input"}, outputs, options)
	require.NoError(t, err)
	defer func() { require.NoError(t, session.Destroy()) }()
	noise, random := make([]float32, 3*640*640), rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = 255 * random.Float32()
	}
	input, err := ort.NewTensor(ort.NewShape(1, 3, 640, 640), noise)
	require.NoError(t, err)
	values := make([]ort.Value, len(outputs))
	require.NoError(t, session.Run([]ort.Value{input}, values))
	tensors, err := floats(values)
	require.NoError(t, err)
	for i, one := range tensors {
		all = append(all, append([]float32{}, one.data...))
		require.NoError(t, values[i].Destroy())
	}
	require.NoError(t, input.Destroy())
	return all
}

// A network that cannot be taken apart stays as it is.
func TestNotPrunable(t *testing.T) {
	startRuntime(t)
	// The loop of the endless network is a network of its own.
	loop := bytesOf(t, generated(onnxgraph.Embedder(0, onnxgraph.Endless)))
	_, err := prune(loop, declared(t, loop))
	require.ErrorIs(t, err, errNotPrunable)
	_, err = prune(loop[:len(loop)-1], nil)
	require.ErrorIs(t, err, errNotPrunable)
	for _, broken := range []string{"\xff", "\x3a\x05ab", "\x3a\x02\x0a\x7f", "\x3a\x03\x0a\x01\x0a"} {
		_, err := prune([]byte(broken), nil)
		require.ErrorIs(t, err, errNotPrunable, "%q", broken)
	}
}

// FuzzPrune takes anything apart without harm, and what it returns is a message.
func FuzzPrune(f *testing.F) {
	f.Add(bytesOf(f, generated(onnxgraph.YuNet(0, onnxgraph.Sound))), "cls_8")
	f.Add(bytesOf(f, generated(onnxgraph.Embedder(0, onnxgraph.Endless))), "")
	f.Fuzz(func(t *testing.T, model []byte, wanted string) {
		pruned, err := prune(model, []string{wanted})
		if err != nil {
			require.ErrorIs(t, err, errNotPrunable)
			return
		}
		require.LessOrEqual(t, len(pruned), len(model)+protowire.SizeVarint(uint64(len(model))))
		_, err = fields(pruned)
		require.NoError(t, err)
		again, err := prune(pruned, []string{wanted})
		require.NoError(t, err)
		require.Equal(t, pruned, again)
	})
}

// Detectors of both contracts for close-ups answer what others do of large faces, and
// do without small ones.
func TestCloseUps(t *testing.T) {
	for name, m := range map[string]Model{
		"yunet": generated(onnxgraph.YuNet(0, onnxgraph.Sound)), "scrfd": generated(onnxgraph.SCRFD(onnxgraph.Sound)),
	} {
		t.Run(name, func(t *testing.T) {
			whole, closeUps := openDetector(t, m), openCloseUps(t, m)
			for side, seen := range map[int]bool{10: false, 13: false, 20: true, 30: true, 40: true, 60: true} {
				picture := onnxgraph.Picture(160, 128, onnxgraph.Square{X: 30, Y: 40, Side: side, Red: 255})
				want, err := whole.Detect(t.Context(), picture, 160)
				require.NoError(t, err)
				require.Len(t, want, 1)
				got, err := closeUps.Detect(t.Context(), picture, 160)
				require.NoError(t, err)
				if seen {
					require.Equal(t, want, got, "%d pixels", side)
				} else {
					require.Empty(t, got, "%d pixels", side)
				}
			}
			_, err := closeUps.Detect(t.Context(), ports.NewImage(0, 0), 0)
			require.ErrorIs(t, err, ports.ErrInvalid)
		})
	}
}

// So it is with a real network and real faces.
func TestCloseUpsOfPictures(t *testing.T) {
	m := realModel(t, config.Default().Models.Detector)
	whole, closeUps := openDetector(t, m), openCloseUps(t, m)
	requireCloseUpsOf(t, whole, closeUps, 4, map[string]*ports.Image{
		"obama": decodeJPEG(t, fixture.ReadPortrait(t, "obama.jpg")), "biden": decodeJPEG(t, fixture.ReadPortrait(t, "biden.jpg")),
	})
	t.Run("labelled", func(t *testing.T) {
		labelled := map[string]*ports.Image{}
		for name := range annotated {
			labelled[name] = labelledImage(t, name)
		}
		requireCloseUpsOf(t, whole, closeUps, 11, labelled)
	})
}

// surelyLarge is a width in pixels from which the default detector never prefers what its
// finest level says. (It did for one face of 85 pixels.)
const surelyLarge = 96

// requireCloseUpsOf checks that large faces are found alike, of which there are so many.
func requireCloseUpsOf(t *testing.T, whole, closeUps *Detector, least int, pictures map[string]*ports.Image) {
	t.Helper()
	large := 0
	for name, img := range pictures {
		for _, longSide := range []int{160, 320, 640, 1280} {
			want, err := whole.Detect(t.Context(), img, longSide)
			require.NoError(t, err)
			got, err := closeUps.Detect(t.Context(), img, longSide)
			require.NoError(t, err)
			seenAt := longSide
			if fixed := whole.net.model.Manifest.Input.Size; fixed > 0 {
				seenAt = fixed
			}
			reduction := max(1, float64(max(img.Width, img.Height))/float64(seenAt))
			for _, face := range want {
				if face.Box.Width() >= surelyLarge*reduction {
					large++
					require.Contains(t, got, face, "%s at %d", name, longSide)
				}
			}
		}
	}
	require.GreaterOrEqual(t, large, least)
}
