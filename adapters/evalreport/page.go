package evalreport

import (
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"strings"
)

//go:embed page.html
var pageSource string

// figure is a chart on the page, in both sets of colours.
type figure struct {
	Caption string
	Light   template.URL
	Dark    template.Srcset
}

// HTML writes the report as a page that refers to nothing outside itself.
func (r *Report) HTML(w io.Writer) error {
	page, err := template.New("page").Funcs(template.FuncMap{
		"percentage": percentage, "observed": observed, "bounded": bounded, "counted": counted, "cosine": cosine, "threshold": threshold,
		"similarity": similarity, "basis": basis, "oneIn": oneIn, "thousands": thousands, "number": number, "lines": strings.TrimSpace,
	}).Parse(pageSource)
	if err != nil {
		return err
	}
	figures, err := r.figures()
	if err != nil {
		return err
	}
	return page.Execute(w, struct {
		*Report
		Figures []figure
	}{r, figures})
}

func (r *Report) figures() ([]figure, error) {
	var all []figure
	for _, c := range AllCharts() {
		if !r.Shows(c) {
			continue
		}
		bright, err := r.svg(c, light())
		if err != nil {
			return nil, err
		}
		dim, err := r.svg(c, dark())
		if err != nil {
			return nil, err
		}
		// The library has escaped what comes from names of folders, and a
		// picture runs no scripts.
		all = append(all, figure{c.Caption, template.URL(dataURL(bright)), template.Srcset(dataURL(dim))})
	}
	return all, nil
}

func dataURL(svg []byte) string {
	return "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(svg)
}
