package ctlconf

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestDiagnosticsSayWhatIsWrongAndWhatWasExpected runs the stories of
// testdata/diagnostics: a file, then everything that is said about it. Run with
// -rewrite to write the answers anew.
func TestDiagnosticsSayWhatIsWrongAndWhatWasExpected(t *testing.T) {
	datadriven.Walk(t, "testdata/diagnostics", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var found Diagnostics
			switch d.Cmd {
			case "controller":
				_, found = Parse("f", []byte(d.Input))
			case "witness":
				_, found = ParseWitness("f", []byte(d.Input))
			default:
				d.Fatalf(t, "unknown command %s, expected controller or witness", d.Cmd)
			}
			var out strings.Builder
			for _, e := range found.Errors {
				out.WriteString("error " + e.String() + "\n")
			}
			for _, w := range found.Warnings {
				out.WriteString("warning " + w.String() + "\n")
			}
			if out.Len() == 0 {
				return "nothing\n"
			}
			return out.String()
		})
	})
}
