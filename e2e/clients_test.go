package e2e

import (
	"crypto/md5"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	hangup = syscall.SIGHUP
	mib    = 1 << 20
)

// url names a logical unit for libiscsi.
func url(portal, target string, lun int) string {
	return fmt.Sprintf("iscsi://%s/%s/%d", portal, target, lun)
}

// qemuIO runs commands of qemu-io on an image, which is a path, a URL or, with
// a comma, a list of options. It fails the test when one of them fails: qemu-io
// itself only says so.
func qemuIO(t *testing.T, image string, commands ...string) string {
	t.Helper()
	r := tryQemuIO(t, image, commands...)
	if problem := r.problem(); problem != "" {
		t.Fatalf("qemu-io %s %q: %s\n%s%s", image, commands, problem, r.stdout, r.stderr)
	}
	return r.stdout
}

// tryQemuIO is qemuIO that may fail.
func tryQemuIO(t *testing.T, image string, commands ...string) result {
	t.Helper()
	args := []string{"-f", "raw"}
	if strings.Contains(image, ",") {
		args = []string{"--image-opts"}
	}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	return run(t, "qemu-io", append(args, image)...)
}

// problem is what went wrong in a run of qemu-io, "" for nothing.
func (r result) problem() string {
	for line := range strings.Lines(r.stdout + r.stderr) {
		for _, sign := range []string{"failed", "error", "Could not", "can't open"} {
			if strings.Contains(line, sign) {
				return strings.TrimSpace(line)
			}
		}
	}
	if r.code != 0 {
		return fmt.Sprintf("status %d", r.code)
	}
	return ""
}

// md5sum is the digest of a file.
func md5sum(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := md5.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// randomFile makes a file of size bytes that no other file is like.
func randomFile(t *testing.T, dir, name string, size int) string {
	t.Helper()
	b := make([]byte, size)
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	if _, err := rand.NewChaCha8(seed).Read(b); err != nil {
		t.Fatal(err)
	}
	return write(t, dir, name, string(b))
}

// filesystem makes an image of size bytes with an ext4 file system and files
// in it.
func filesystem(t *testing.T, dir string, size int) string {
	t.Helper()
	files := filepath.Join(dir, "files")
	if err := os.MkdirAll(filepath.Join(files, "deep", "deeper"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, files, "letter", strings.Repeat("the quick brown fox jumps over the lazy dog\n", 1000))
	for i := range 20 {
		randomFile(t, filepath.Join(files, "deep", "deeper"), fmt.Sprintf("file%d", i), 100_000+i*7919)
	}
	image := filepath.Join(dir, "ext4.img")
	succeed(t, "mkfs.ext4", "-q", "-F", "-d", files, image, fmt.Sprintf("%dk", size/1024))
	return image
}

// status asks a controller how it stands, on its socket.
func status(t *testing.T, socket string) (s statusJSON) {
	t.Helper()
	decode(t, succeed(t, tandem, "status", "--json", "--socket", socket), &s)
	return s
}

// statusJSON is the part of `tandem status --json` that tests look at.
type statusJSON struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	Cluster string `json:"cluster"`
	Node    int    `json:"node"`
	Mode    string `json:"mode"`
	Nodes   []struct {
		ID      int    `json:"id"`
		Link    int    `json:"link"`
		Problem string `json:"problem"`
	} `json:"nodes"`
	Arbiter struct {
		Kind    string   `json:"kind"`
		Quorum  bool     `json:"quorum"`
		Members []string `json:"members"`
	} `json:"arbiter"`
	LUNs     []lunJSON `json:"luns"`
	Sessions []struct {
		Initiator string `json:"initiator"`
		Target    string `json:"target"`
		Digests   string `json:"digests"`
	} `json:"sessions"`
}

// lunJSON is a logical unit in statusJSON.
type lunJSON struct {
	Name    string `json:"name"`
	Size    uint64 `json:"size"`
	Role    string `json:"role"`
	Access  string `json:"access"`
	Serving bool   `json:"serving"`
	Primary int    `json:"primary"`
	Epoch   uint64 `json:"epoch"`
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("not the JSON that was expected: %v\n%s", err, text)
	}
}

// contains fails the test for each part that a text does not have.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}
