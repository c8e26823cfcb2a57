package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInitWritesAClusterThatCheckFindsGood(t *testing.T) {
	t.Parallel()
	out := filepath.Join(folder(t), "out")
	text := succeed(t, tandem, "init", "--dir", out, "--node", "1=192.168.10.101", "--node", "2=192.168.10.102",
		"--witness", "192.168.10.103", "--lun", "data=/srv/data.img,size=10G")
	contains(t, text, "tandem serve -c", "tandem witness -c", "192.168.10.101", "192.168.10.102", "192.168.10.103")
	for _, id := range []string{"1", "2"} {
		contains(t, succeed(t, tandem, "check", "-c", filepath.Join(out, id, "ctl.conf")), "1 targets, 1 logical units")
	}
	for _, name := range []string{"1/node.key", "2/node.key", "w/witness.key", "ca/ca.key"} {
		info, err := os.Stat(filepath.Join(out, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, expected a file that only its owner reads", name, info, err)
		}
	}
}

func TestInitOverwritesNothing(t *testing.T) {
	t.Parallel()
	out := filepath.Join(folder(t), "out")
	args := []string{"init", "--loopback", "--dir", out, "--lun", "data=" + filepath.Join(out, "data.img") + ",size=1M"}
	succeed(t, tandem, args...)
	key, err := os.ReadFile(filepath.Join(out, "ca", "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, tandem, args...)
	if r.code != 1 || !strings.Contains(r.stderr, out) {
		t.Errorf("status %d, expected 1 and the name of what is there: %s", r.code, r.stderr)
	}
	if now, err := os.ReadFile(filepath.Join(out, "ca", "ca.key")); err != nil || string(now) != string(key) {
		t.Errorf("the key of the authority has changed: %v", err)
	}
}

func TestInitRefusesWhatMakesNoCluster(t *testing.T) {
	t.Parallel()
	out := filepath.Join(folder(t), "out")
	for _, c := range []struct{ args, want string }{
		{"--loopback --lun data", "data"},
		{"--loopback --lun data=/x,size=huge", "huge"},
		{"--loopback --lun data=/x,size=1M --mode active-active-active", "active-active-active"},
		{"--node 1=192.168.10.101 --node 1=192.168.10.102 --witness 192.168.10.103 --lun data=/x,size=1M", "node 1"},
		{"--node 1=192.168.10.101 --node 2=192.168.10.101 --witness 192.168.10.103 --lun data=/x,size=1M", "192.168.10.101"},
		{"--node 1=192.168.10.101 --node 2=192.168.10.102 --lun data=/x,size=1M", "witness"},
		{"--node 9=192.168.10.101 --node 2=192.168.10.102 --witness 192.168.10.103 --lun data=/x,size=1M", "9="},
	} {
		r := run(t, tandem, append([]string{"init", "--dir", out}, strings.Fields(c.args)...)...)
		if r.code != 1 || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%s: status %d, expected 1 and the word %q: %s", c.args, r.code, c.want, r.stderr)
		}
		if _, err := os.Stat(out); err == nil {
			t.Fatalf("%s: something was written", c.args)
		}
	}
}
