package evalreport

import (
	_ "embed"
	"errors"
	"html/template"
	"io"
	"strings"
)

//go:embed page.html
var pageSource string

// styleSource has the style of all pages.
//
//go:embed style.html
var styleSource string

// figure is a chart on the page, in both sets of colours.
type figure struct {
	Caption string
	Light   template.URL
	Dark    template.Srcset
}

// HTML writes the report as a page that refers to nothing outside itself.
func (r *Report) HTML(w io.Writer) error {
	page, err := template.New("page").Funcs(template.FuncMap{
		"percentage": percentage, "observed": rateText, "bounded": rateWithBounds, "counted": countText, "cosine": cosine, "threshold": threshold,
		"similarity": similarity, "basis": basisText, "oneIn": oneIn, "thousands": thousands, "number": number, "lines": strings.TrimSpace,
	}).Parse(styleSource + pageSource)
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

func (r *Report) figures() (all []figure, err error) {
	for _, c := range charts() {
		if !r.shows(c) {
			continue
		}
		one, err := newFigure(c.caption, func(t theme) *drawing { return c.draw(r, t) })
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// newFigure draws a chart in both sets of colours.
func newFigure(caption string, draw func(theme) *drawing) (figure, error) {
	bright, failed := svg(draw, light())
	dim, err := svg(draw, dark())
	// The library escapes the names of folders, and an image runs no scripts.
	return figure{caption, template.URL(bright), template.Srcset(dim)}, errors.Join(failed, err)
}
