package httpapi_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/test/fixture"
)

// Every reason against a picture has a code of its own.
func TestEveryReasonHasACode(t *testing.T) {
	codes := map[string]bool{}
	for _, file := range []string{"core/extraction/extractor.go", "core/quality/quality.go", "ports/image.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(fixture.Root(t), file), nil, 0)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
				return true
			}
			reason, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			code := httpapi.PictureCode(reason)
			require.NotEmpty(t, code, reason)
			require.False(t, codes[code], code)
			codes[code] = true
			return true
		})
	}
	require.Len(t, codes, 17)
	require.Subset(t, httpapi.Codes(), slices.Collect(maps.Keys(codes)))
}
