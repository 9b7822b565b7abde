package bench

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/quality"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/pipeline"
)

// forModelPairs runs a test for each pair of models whose files are there.
func forModelPairs(t *testing.T, test func(t *testing.T, p *pipeline.Pipeline)) {
	for _, pair := range pipeline.Pairs(t) {
		t.Run(pair.Detector+"+"+pair.Embedder, func(t *testing.T) {
			t.Parallel()
			test(t, pipeline.With(t, pair))
		})
	}
}

// A portrait is a picture of one person, small enough to be turned many times.
type portrait struct {
	name, person string
	img          *ports.Image
}

// turnable returns the pictures of the cast and of the persons A, B and C.
func turnable(t *testing.T, p *pipeline.Pipeline) (all []portrait) {
	t.Helper()
	for _, pattern := range []string{"cast/*.png", "*_[ABC].jpg"} {
		names, err := fs.Glob(os.DirFS(fixture.Faces(t)), pattern)
		require.NoError(t, err)
		for _, name := range names {
			img, err := p.Decoder.Decode(t.Context(), fixture.Read(t, name), 640)
			require.NoError(t, err)
			all = append(all, portrait{name, personIn(name), img})
		}
	}
	return all
}

func personIn(name string) string {
	name = strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
	if _, letter, ok := strings.Cut(name, "_"); ok {
		return letter
	}
	return strings.TrimRight(name, "0123456789")
}

// A way is one to hold a picture.
type way struct {
	name string
	turn func(*ports.Image) *ports.Image
	// quarter says that nothing is lost: the picture is as good as upright.
	quarter bool
}

// ways are every 15 degrees.
func ways() (all []way) {
	for degrees := 0; degrees < 360; degrees += 15 {
		all = append(all, way{fmt.Sprintf("%d degrees", degrees), func(img *ports.Image) *ports.Image { return turnedBy(img, float64(degrees)) }, degrees%90 == 0})
	}
	return append(all, way{"flipped", flipped, false})
}

// Nobody is taken for somebody else, and everybody for who he is, however all pictures
// are held.
func TestOrientation(t *testing.T) {
	t.Parallel()
	forModelPairs(t, func(t *testing.T, p *pipeline.Pipeline) {
		all := turnable(t, p)
		limit := p.Curve.Cosine(80)
		x := p.Extractor()
		gate := quality.Gate{MinUprightMargin: p.Config.Quality.MinUprightMargin}
		var upright [][]float32
		for _, w := range ways() {
			var turned [][]float32
			var unclear, lost int
			var own []float64
			for i, one := range all {
				template, reasons, err := x.Examine(t.Context(), asPNG(t, w.turn(one.img)), gate)
				if err != nil {
					require.False(t, w.quarter, "%s %s: %v", one.name, w.name, err)
					lost++
				}
				unclear += len(reasons)
				turned = append(turned, template)
				if len(upright) == len(all) && template != nil {
					own = append(own, cosine(template, upright[i]))
					require.True(t, !w.quarter || own[len(own)-1] >= 0.97, "%s %s", one.name, w.name)
				}
			}
			if len(upright) == 0 {
				upright = turned
				require.Zero(t, unclear, "upright pictures can be enrolled")
			}
			highest, pairs := strangers(t, all, turned, turned, limit, w.name)
			across, _ := strangers(t, all, turned, upright, limit, w.name+" and upright")
			slices.Sort(own)
			if len(own) > 0 {
				t.Logf("%-11s %d of %d found, %d unclear; own least %.3f, tenth %.3f, median %.3f; %d pairs of strangers up to %.3f, to upright ones %.3f",
					w.name, len(own), len(all), unclear, own[0], own[len(own)/10], own[len(own)/2], pairs, highest, across)
			}
			require.LessOrEqual(t, lost, len(all)/20)
		}
	})
}

// strangers returns the highest cosine of two persons.
func strangers(t *testing.T, all []portrait, some, others [][]float32, limit float64, how string) (highest float64, pairs int) {
	t.Helper()
	for i := range all {
		for j := range all {
			if all[i].person == all[j].person || some[i] == nil || others[j] == nil {
				continue
			}
			pairs++
			c := cosine(some[i], others[j])
			require.Less(t, c, limit, "%s and %s, %s", all[i].name, all[j].name, how)
			highest = max(highest, c)
		}
	}
	return highest, pairs
}

// firstLook is a detector that sees nothing in the small crops which tell which way up a
// face is.
type firstLook struct{ ports.Detector }

func (d firstLook) Detect(ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
	if img.Width == 96 && img.Height == 96 {
		return nil, nil
	}
	return d.Detector.Detect(ctx, img, longSide)
}

// The template of an upright picture is the same, bit by bit, whether or not it is made
// sure which way up it is.
func TestOrientationOfUprightPictures(t *testing.T) {
	t.Parallel()
	forModelPairs(t, func(t *testing.T, p *pipeline.Pipeline) {
		tested := p.Extractor()
		p.Detector = firstLook{p.Detector}
		trusting := p.Extractor()
		for _, set := range []string{"*_[1-9ABC].jpg", "cast/*.png", "cast/*.jpg"} {
			names, err := fs.Glob(os.DirFS(fixture.Faces(t)), set)
			require.NoError(t, err)
			for _, name := range names {
				picture := fixture.Read(t, name)
				want, err := trusting.Probe(t.Context(), picture)
				require.NoError(t, err, name)
				got, err := tested.Probe(t.Context(), picture)
				require.NoError(t, err, name)
				require.Equal(t, want, got, name)
				found, err := tested.Detect(t.Context(), picture, quality.Gate{})
				require.NoError(t, err)
				require.Zero(t, found.Turn, name)
			}
		}
	})
}

// A turned picture answers the faces that the upright one does, where they lie in it.
func TestOrientationOfGroups(t *testing.T) {
	t.Parallel()
	forModelPairs(t, func(t *testing.T, p *pipeline.Pipeline) {
		x := p.Extractor()
		for _, name := range []string{"cast/group1.jpg", "cast/group3.jpg", "010_2.jpg", "012_4.jpg", "007_B.jpg"} {
			img, err := p.Decoder.Decode(t.Context(), fixture.Read(t, name), 0)
			require.NoError(t, err)
			upright, err := x.Detect(t.Context(), asPNG(t, img), quality.Gate{SecondFaceRatio: 0.5})
			require.NoError(t, err)
			for _, degrees := range []int{90, 180, 270} {
				got, err := x.Detect(t.Context(), asPNG(t, turnedBy(img, float64(degrees))), quality.Gate{SecondFaceRatio: 0.5})
				require.NoError(t, err)
				require.Equal(t, 360-degrees, got.Turn, "%s by %d", name, degrees)
				require.Len(t, got.Faces, len(upright.Faces), "%s by %d", name, degrees)
				require.Equal(t, upright.Reasons, got.Reasons)
				want := turnedPoint(upright.Faces[0].Landmarks[ports.Nose], img, float64(degrees))
				nose := got.Faces[0].Landmarks[ports.Nose]
				require.Less(t, math.Hypot(nose.X-want.X, nose.Y-want.Y), 0.05*upright.Faces[0].Box.Width(), "%s by %d", name, degrees)
			}
		}
	})
}

// turnedBy turns an image clockwise into one that holds all of it, black around it.
func turnedBy(img *ports.Image, degrees float64) *ports.Image {
	sin, cos := turning(degrees)
	w, h := float64(img.Width), float64(img.Height)
	out := ports.NewImage(int(math.Round(math.Abs(w*cos)+math.Abs(h*sin))), int(math.Round(math.Abs(w*sin)+math.Abs(h*cos))))
	for y := range out.Height {
		for x := range out.Width {
			dx, dy := float64(x)-float64(out.Width-1)/2, float64(y)-float64(out.Height-1)/2
			sample(out.Pix[y*out.Stride+3*x:][:3], img, cos*dx+sin*dy+(w-1)/2, cos*dy-sin*dx+(h-1)/2)
		}
	}
	return out
}

// turnedPoint is where turnedBy brings a point.
func turnedPoint(p ports.Point, img *ports.Image, degrees float64) ports.Point {
	sin, cos := turning(degrees)
	w, h := float64(img.Width), float64(img.Height)
	width, height := math.Abs(w*cos)+math.Abs(h*sin), math.Abs(w*sin)+math.Abs(h*cos)
	dx, dy := p.X-(w-1)/2, p.Y-(h-1)/2
	return ports.Point{X: cos*dx - sin*dy + (width-1)/2, Y: sin*dx + cos*dy + (height-1)/2}
}

// turning returns sine and cosine, exact for quarter turns.
func turning(degrees float64) (sin, cos float64) {
	sin, cos = math.Sincos(degrees * math.Pi / 180)
	if math.Mod(degrees, 90) == 0 {
		sin, cos = math.Round(sin), math.Round(cos)
	}
	return sin, cos
}

// sample interpolates one pixel.
func sample(out []byte, img *ports.Image, x, y float64) {
	x0, y0 := math.Floor(x), math.Floor(y)
	var sum [3]float64
	for j := range 2 {
		for i := range 2 {
			px, py := int(x0)+i, int(y0)+j
			weight := (1 - math.Abs(x-float64(px))) * (1 - math.Abs(y-float64(py)))
			if weight <= 0 || px < 0 || py < 0 || px >= img.Width || py >= img.Height {
				continue
			}
			for c := range sum {
				sum[c] += weight * float64(img.Pix[py*img.Stride+3*px+c])
			}
		}
	}
	for c := range sum {
		out[c] = byte(sum[c] + 0.5)
	}
}

// flipped exchanges top and bottom.
func flipped(img *ports.Image) *ports.Image {
	out := ports.NewImage(img.Width, img.Height)
	for y := range img.Height {
		copy(out.Pix[y*out.Stride:][:out.Stride], img.Pix[(img.Height-1-y)*img.Stride:])
	}
	return out
}

// asPNG encodes an image without loss.
func asPNG(t testing.TB, img *ports.Image) []byte {
	t.Helper()
	return fixture.PNG(t, fixture.RGBA(img.Pix, img.Stride, img.Width, img.Height))
}
