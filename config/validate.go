package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"github.com/go-playground/validator/v10"
)

// validate notes every rule of the struct tags that what v points to breaks.
func (r *report) validate(v any) {
	var broken validator.ValidationErrors
	if err := newValidator().Struct(v); err == nil {
		return
	} else if !errors.As(err, &broken) {
		r.add("", err.Error())
		return
	}
	for _, b := range broken {
		_, path, _ := strings.Cut(b.Namespace(), ".")
		if !r.hasFailed(path) {
			r.add(path, message(b))
		}
	}
}

// check notes a problem unless a rule holds or the path could not be set.
func (r *report) check(valid bool, path, rule string) {
	if !valid && !r.hasFailed(path) {
		r.add(path, rule)
	}
}

func newValidator() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(keyOf)
	for tag, rule := range rules() {
		valid := func(f validator.FieldLevel) bool { return rule.valid(f.Field()) }
		if err := v.RegisterValidation(tag, valid); err != nil {
			panic(err) // a tag of ours is empty or taken
		}
	}
	return v
}

// message says what a broken rule asks for, to follow "path: ".
func message(b validator.FieldError) string {
	param := b.Param()
	switch b.Tag() {
	case "required":
		return "is required"
	case "required_if":
		return "is required where " + condition(param)
	case "required_without":
		return fmt.Sprintf("is required where %s is 0", strings.ToLower(param))
	case "excluded_unless":
		return "is allowed only where " + condition(param)
	case "min":
		return fmt.Sprintf("must %s at least %s", extent(b.Kind()), amount(b))
	case "max":
		return fmt.Sprintf("must %s at most %s", extent(b.Kind()), amount(b))
	case "len":
		return fmt.Sprintf("must have exactly %s", amount(b))
	case "gt":
		return "must be above " + param
	case "gtefield":
		return "must be at least " + strings.ToLower(param)
	case "excluded_with":
		return "must be empty where " + snake(param) + " is set"
	case "nefield":
		return "must differ from " + strings.ToLower(param)
	case "oneof":
		return "must be one of " + strings.Join(strings.Fields(param), ", ")
	case "unique":
		return "must not contain an entry twice"
	}
	if rule, ok := rules()[b.Tag()]; ok {
		return rule.message
	}
	return "must satisfy " + b.Tag()
}

// snake writes KeyFile as key_file.
func snake(field string) string {
	var b strings.Builder
	for i, c := range field {
		if unicode.IsUpper(c) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

// condition puts "Kind embedder" into words.
func condition(param string) string {
	field, value, _ := strings.Cut(param, " ")
	return strings.ToLower(field) + " is " + value
}

// extent is the verb for a bound on a value of the given kind.
func extent(kind reflect.Kind) string {
	switch kind {
	case reflect.String, reflect.Slice, reflect.Array:
		return "have"
	}
	return "be"
}

// amount is the bound of a rule with what it counts.
func amount(b validator.FieldError) string {
	switch b.Kind() {
	case reflect.String:
		return b.Param() + " characters"
	case reflect.Slice, reflect.Array:
		if b.Param() == "1" {
			return "1 entry"
		}
		return b.Param() + " entries"
	}
	return b.Param()
}
