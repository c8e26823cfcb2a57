package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckReadsControllersAndWitnesses(t *testing.T) {
	const members = `arbiter embedded { data /a listen 10.0.0.3 member 1 10.0.0.1 member 2 10.0.0.2 member w 10.0.0.3 }`
	for name, test := range map[string]struct {
		text, want string
		good       bool
	}{
		"a controller":            {"lun a { path /a }", "f: good: 0 targets, 1 logical units\n", true},
		"a controller with fault": {"lun a { path a }", `f:1:14: path "a", expected a path that begins with /` + "\n", false},
		"a witness": {"pidfile /run/w.pid\nwitness { cluster c name w certificate c.pem key c.key ca ca.pem " + members + " }",
			"f: good: witness w of cluster c\n", true},
		"a witness with fault": {"witness { cluster c name w certificate c.pem key c.key " + members + " }", "f:1:1: witness has no ca, expected one\n", false},
		"a warning":            {"maxproc 3", "f:1:1: maxproc has no effect: a login is no process (warning)\nf: good: 0 targets, 0 logical units\n", true},
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		cmd := root()
		cmd.SetOut(&out)
		cmd.SetArgs([]string{"check", "-c", path})
		err := cmd.Execute()
		if got := strings.ReplaceAll(out.String(), path, "f"); got != test.want || (err == nil) != test.good || err != nil && !errors.Is(err, errSaid) {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
}
