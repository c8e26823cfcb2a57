package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// startEtcd runs Debian's etcd with TLS for its clients, whom it knows by their
// certificates, and returns its endpoint. The certificates are the pair's.
func startEtcd(t *testing.T, p *pair) string {
	t.Helper()
	client, peer := "https://"+freeAddress(t, "127.0.0.1"), "http://"+freeAddress(t, "127.0.0.1")
	own := p.a.dir
	e := start(t, "etcd", "--name", "external", "--data-dir", filepath.Join(p.dir, "etcd"),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "external="+peer,
		"--client-cert-auth", "--trusted-ca-file", filepath.Join(own, "ca.pem"),
		"--cert-file", filepath.Join(own, "node.pem"), "--key-file", filepath.Join(own, "node.key"))
	e.awaitLine(t, "ready to serve client requests")
	return client
}

func TestAnEtcdThatRunsElsewhereDecidesTakeovers(t *testing.T) {
	p := newPair(t)
	endpoint := startEtcd(t, p)
	arbiter := regexp.MustCompile(`(?s)arbiter embedded \{.*?\}`)
	for _, c := range []*controller{p.a, p.b} {
		text, err := os.ReadFile(c.config)
		if err != nil {
			t.Fatal(err)
		}
		c.edit(t, arbiter.FindString(string(text)),
			fmt.Sprintf("arbiter etcd { endpoint %s certificate node.pem key node.key ca ca.pem }", endpoint))
	}
	p.a.launch(t)
	p.b.launch(t)
	p.a.awaitLine(t, "msg=ready")
	p.b.awaitLine(t, "msg=ready")
	p.a.awaitRole(t, "primary")
	eventually(t, "both are candidates", func() bool { return p.a.candidates(t) == 2 })
	w := newWriter(t, p.b)
	w.write(t, 20)
	p.a.kill(t)
	p.b.awaitRole(t, "primary")
	w.write(t, 20)
	w.check(t, p.b)
	p.a.start(t)
	p.a.awaitRole(t, "secondary")
	w.check(t, p.a)
}

func TestAWitnessThatLostItsDataIsRefusedAndThenReplaced(t *testing.T) {
	p := startPair(t)
	p.witness.kill(t)
	if err := os.RemoveAll(filepath.Join(p.dir, "out", "w", "arbiter")); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(p.dir, "out", "w", "witness.conf")
	r := run(t, tandem, "witness", "-c", config)
	if r.code != 1 {
		t.Errorf("status %d, expected 1", r.code)
	}
	contains(t, r.stderr, "its data is gone", "--replace")
	p.witness = start(t, tandem, "witness", "-c", config, "--replace")
	p.witness.awaitLine(t, "msg=ready")
	w := newWriter(t, p.b)
	w.write(t, 20)
	p.a.kill(t) // its vote is needed now
	p.b.awaitRole(t, "primary")
	w.check(t, p.b)
}
