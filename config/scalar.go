package config

import (
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// setText sets v to what a text says. The error is the rule that the text
// breaks, in words that do not repeat it.
func setText(v reflect.Value, text string) error {
	switch v.Interface().(type) {
	case time.Duration:
		return assign(v, text, time.ParseDuration, "must be a duration such as 30s or 5m")
	case Period:
		return assign(v, text, parsePeriod, periodRule)
	case time.Time:
		return assign(v, text, func(s string) (time.Time, error) { return time.Parse(time.RFC3339, s) }, "must be a date and time such as 2030-01-31T00:00:00Z")
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return nil
	case reflect.Bool:
		return assign(v, text, parseBool, "must be true or false")
	case reflect.Int, reflect.Int64:
		return assign(v, text, parseInt, "must be a whole number")
	case reflect.Float64:
		return assign(v, text, parseFloat, "must be a number")
	case reflect.Slice:
		return setList(v, text)
	}
	return errors.New("can only be set in a file")
}

// setList sets a list of scalars from its entries separated by commas.
func setList(v reflect.Value, text string) error {
	var entries []string
	if text != "" {
		entries = strings.Split(text, ",")
	}
	list := reflect.MakeSlice(v.Type(), len(entries), len(entries))
	for i, entry := range entries {
		if err := setText(list.Index(i), strings.TrimSpace(entry)); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

// assign parses a text and sets v to it, or returns the rule as an error.
func assign[T any](v reflect.Value, text string, parse func(string) (T, error), rule string) error {
	value, err := parse(text)
	if err != nil {
		return errors.New(rule)
	}
	v.Set(reflect.ValueOf(value).Convert(v.Type()))
	return nil
}

// parseInt takes decimal digits only: a leading zero or an underscore would be
// read one way by people and another by the YAML versions.
func parseInt(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) }

func parseBool(text string) (bool, error) {
	text = strings.ToLower(text)
	if text != "true" && text != "false" {
		return false, strconv.ErrSyntax
	}
	return text == "true", nil
}

func parseFloat(text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, strconv.ErrSyntax
	}
	return f, nil
}
