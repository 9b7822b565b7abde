package config

import (
	"fmt"
	"io/fs"

	"imago/config/regularfile"
	"imago/ports"
)

// Manifest describes one network so that it runs without code: drop it as
// NAME.yaml beside the network file into the models folder and name it in the
// config.
type Manifest struct {
	// Name is how the config refers to the model; it equals the file name of
	// the manifest without .yaml.
	Name    string `yaml:"name" validate:"required,modelname"`
	Kind    Kind   `yaml:"kind" validate:"oneof=detector embedder"`
	File    string `yaml:"file" validate:"required,filename"`             // beside the manifest, no folders
	SHA256  string `yaml:"sha256" validate:"required,len=64,hexlower"`    // of the file
	Size    int64  `yaml:"size" validate:"required,min=1,max=1073741824"` // of the file, in bytes
	Licence string `yaml:"licence" validate:"required"`                   // SPDX expression
	// TrainingData is what is known of the pictures that the network was trained on,
	// or "undisclosed".
	TrainingData string `yaml:"training_data"`
	// Sources is where `imago models pull` gets the file, tried in this order;
	// empty when the file comes from elsewhere.
	Sources     []Source     `yaml:"sources" validate:"max=8,dive"`
	Description string       `yaml:"description"`
	Input       ModelInput   `yaml:"input"`
	Output      ModelOutput  `yaml:"output"`
	Calibration *Calibration `yaml:"calibration" validate:"required_if=Kind embedder,excluded_unless=Kind embedder"`
}

// Kind is the role a network plays.
type Kind string

// The kinds of network.
const (
	KindDetector Kind = "detector"
	KindEmbedder Kind = "embedder"
)

// ModelInput says how pixels become network input: channel c of a pixel value v
// (0 to 255) is fed as (v*Scale - Mean[c]) / Std[c], planes in Colour order
// (N x 3 x H x W, float32).
type ModelInput struct {
	Colour string     `yaml:"colour" validate:"oneof=RGB BGR"`
	Scale  float64    `yaml:"scale" validate:"gt=0"`
	Mean   [3]float64 `yaml:"mean"`                     // in Colour order
	Std    [3]float64 `yaml:"std" validate:"dive,gt=0"` // in Colour order
	// Size is the fixed width and height in pixels; 0 when the network takes
	// any multiple of Stride (detectors only).
	Size int `yaml:"size" validate:"min=0,max=4096"`
	// Stride is what width and height must be a multiple of when Size is 0.
	Stride int `yaml:"stride" validate:"required_without=Size,min=0,max=128"`
}

// Contract names the meaning of a network's outputs.
type Contract string

// The output contracts that imago understands.
const (
	// ContractYuNet is cls_s, obj_s, bbox_s and kps_s for strides s of 8, 16, 32.
	ContractYuNet Contract = "yunet"
	// ContractSCRFD is scores, box distances and landmark offsets for strides
	// 8, 16 and 32 (nine outputs in this order, two anchors a cell).
	ContractSCRFD Contract = "scrfd"
	// ContractEmbedding is one output of shape N x Dimension.
	ContractEmbedding Contract = "embedding"
)

// ModelOutput says what the network answers.
type ModelOutput struct {
	Contract Contract `yaml:"contract" validate:"oneof=yunet scrfd embedding"`
	// Dimension is the length of the vector (embedders only).
	Dimension int `yaml:"dimension" validate:"min=0,max=4096"`
	// IoU is the overlap above which two detections are one face, by
	// non-maximum suppression (detectors only).
	IoU float64 `yaml:"iou" validate:"min=0,max=1"`
}

// Calibration maps cosine similarity to percent and to error rates, as
// measured for this model: percent = 100 / (1 + exp(-Steepness*(cosine -
// Midpoint))).
type Calibration struct {
	Midpoint  float64 `yaml:"midpoint" validate:"min=-1,max=1"`
	Steepness float64 `yaml:"steepness" validate:"gt=0,max=1000"`
	// Provisional marks a curve that was not fitted to measured error rates;
	// imago warns at start.
	Provisional bool `yaml:"provisional"`
	// Basis says on which pictures the rates were measured.
	Basis string `yaml:"basis" validate:"required"`
	// FMR is the measured false match rate at some cosines, ascending.
	FMR []ErrorRate `yaml:"fmr" validate:"dive"`
}

// ErrorRate is the part of stranger pairs that score at least Cosine.
type ErrorRate struct {
	Cosine float64 `yaml:"cosine" validate:"min=-1,max=1"`
	Rate   float64 `yaml:"rate" validate:"gt=0,max=1"`
}

// LoadManifest reads and checks the manifest of a model, NAME.yaml in fsys, as
// strictly as Load reads settings. Its contents must be consistent: an embedder
// takes face chips and answers vectors with a calibration, a detector answers
// boxes. Problems come back at once as an *Error; a manifest that is not there
// is fs.ErrNotExist.
func LoadManifest(fsys fs.FS, name string) (Manifest, error) {
	if !modelName.MatchString(name) {
		return Manifest{}, fmt.Errorf("config: model name %s %s", printable(name), rules()["modelname"].message)
	}
	path := name + ".yaml"
	file, err := fsys.Open(path)
	if err != nil {
		return Manifest{}, fmt.Errorf("config: %w", err)
	}
	data, err := regularfile.ReadAll(file, path, maxFile)
	if err != nil {
		return Manifest{}, fmt.Errorf("config: %w", err)
	}
	var m Manifest
	r := newReport()
	r.decode(data, &m)
	r.validate(&m)
	r.check(m.Name == name, "name", "must be "+name+", like the file")
	m.check(r)
	if err := r.err(path); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// gridStep is the coarsest stride of the detector contracts in pixels, of which
// their input must be a multiple.
const gridStep = 32

// check notes what does not fit together.
func (m Manifest) check(r *report) {
	r.check(m.TrainingData != "", "training_data", "is required; write undisclosed where nothing is known of it")
	for i, source := range m.Sources {
		source.check(r, fmt.Sprintf("sources[%d]", i))
	}
	switch m.Kind {
	case KindEmbedder:
		r.check(m.Output.Contract == ContractEmbedding, "output.contract", "must be embedding where kind is embedder")
		r.check(m.Output.Dimension > 0, "output.dimension", "is required where kind is embedder")
		r.check(m.Output.IoU == 0, "output.iou", "is allowed only where kind is detector")
		r.check(m.Input.Size == ports.ChipSize, "input.size", fmt.Sprintf("must be %d where kind is embedder", ports.ChipSize))
	case KindDetector:
		r.check(m.Output.Contract != ContractEmbedding, "output.contract", "must be yunet or scrfd where kind is detector")
		r.check(m.Output.Dimension == 0, "output.dimension", "is allowed only where kind is embedder")
		r.check(m.Output.IoU > 0, "output.iou", "must be above 0 where kind is detector")
		r.check(m.Input.Size%gridStep == 0, "input.size", fmt.Sprintf("must be a multiple of %d where kind is detector", gridStep))
		r.check(m.Input.Stride%gridStep == 0, "input.stride", fmt.Sprintf("must be a multiple of %d where kind is detector", gridStep))
	}
	if m.Calibration != nil {
		m.Calibration.check(r)
	}
}

// check notes error rates that do not fall as the cosine rises.
func (c Calibration) check(r *report) {
	for i := 1; i < len(c.FMR); i++ {
		before, here := c.FMR[i-1], c.FMR[i]
		r.check(here.Cosine > before.Cosine, fmt.Sprintf("calibration.fmr[%d].cosine", i), "must be above the one before")
		r.check(here.Rate < before.Rate, fmt.Sprintf("calibration.fmr[%d].rate", i), "must be below the one before")
	}
}
