package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/tandem-san/tandem/scsi"
)

// startEtcd runs Debian's etcd with TLS for its clients, whom it knows by their
// certificates, and returns it and its arguments. Directory and certificates are those of
// a cluster.
func startEtcd(t *testing.T, dir string, c *controller) (*process, []string) {
	t.Helper()
	client, peer := "https://"+freeAddress(t, "127.0.0.1"), "http://"+freeAddress(t, "127.0.0.1")
	own := c.dir
	args := []string{"--name", "external", "--data-dir", filepath.Join(dir, "etcd"),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "external=" + peer,
		"--client-cert-auth", "--trusted-ca-file", filepath.Join(own, "ca.pem"),
		"--cert-file", filepath.Join(own, "node.pem"), "--key-file", filepath.Join(own, "node.key")}
	return startEtcdWith(t, args), args
}

// startEtcdWith starts it, or starts it again.
func startEtcdWith(t *testing.T, args []string) *process {
	t.Helper()
	e := start(t, "etcd", args...)
	e.awaitLine(t, "ready to serve client requests")
	return e
}

// useEtcd starts an etcd and has the controllers use it as arbiter.
func useEtcd(t *testing.T, dir string, controllers ...*controller) (etcd *process, args []string) {
	t.Helper()
	etcd, args = startEtcd(t, dir, controllers[0])
	endpoint := args[slices.Index(args, "--listen-client-urls")+1]
	arbiter := regexp.MustCompile(`(?s)arbiter embedded \{.*?\}`)
	for _, c := range controllers {
		text, err := os.ReadFile(c.config)
		if err != nil {
			t.Fatal(err)
		}
		c.edit(t, arbiter.FindString(string(text)),
			fmt.Sprintf("arbiter etcd { endpoint %s certificate node.pem key node.key ca ca.pem }", endpoint))
	}
	return etcd, args
}

func TestAnEtcdThatRunsElsewhereDecidesTakeovers(t *testing.T) {
	p := newPair(t)
	useEtcd(t, p.dir, p.a, p.b)
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

func TestAHealthyPairGoesOnWithoutItsArbiter(t *testing.T) {
	p := newPair(t)
	etcd, args := useEtcd(t, p.dir, p.a, p.b)
	p.startBoth(t)
	disk := p.multipath(t)
	pause := busyWhile(t, disk, func() {
		etcd.kill(t)
		time.Sleep(3 * time.Second) // longer than every lease
	})
	if pause > maxHandoverPause {
		t.Errorf("a pause of %v", pause)
	}
	contains(t, succeed(t, tandem, "status", "--socket", p.b.socket), "NO QUORUM")
	// A controller that is left alone without an arbiter stops serving, until
	// there is one again.
	p.b.kill(t)
	eventually(t, "the controller that is left alone stops serving", func() bool { return !p.a.unit(t).Serving })
	startEtcdWith(t, args)
	busyWhile(t, disk, func() { p.a.awaitRole(t, "primary") })
	p.b.start(t)
	eventually(t, "both are candidates", func() bool { return p.a.candidates(t) == 2 })
	busyWhile(t, disk, func() {
		p.a.kill(t)
		p.b.awaitRole(t, "primary")
	})
}

// Debian's etcd takes 128 operations in a transaction. Of three controllers with
// an arbiter elsewhere one may remain.
func TestOfThreeControllersOneTakesAllInAnEtcdThatRunsElsewhere(t *testing.T) {
	g := newGroup(t, 3, 65)
	useEtcd(t, g.dir, g.controllers...)
	g.witnesses = nil
	g.start(t)
	one, two, three := g.controllers[0], g.controllers[1], g.controllers[2]
	began := time.Now()
	one.kill(t)
	two.kill(t)
	g.await(t, "the last one serves all", func(string, int) bool { return true }, three)
	t.Logf("130 logical units taken over in %v", time.Since(began))
	one.start(t)
	g.await(t, "two may serve", func(_ string, primary int) bool { return primary == 3 }, one, three)
	one.awaitLine(t, "msg=ready")
	three.kill(t)
	g.await(t, "the other one serves all", func(string, int) bool { return true }, one)
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

// Its data of the arbiter and its states are lost, as with the disk of a machine.
func TestAControllerThatLostItsDataIsRefusedAndThenReplaced(t *testing.T) {
	p := startPair(t)
	s := host{"owner", 1}.session(t, p.b.portal, p.target)
	persistentOut(t, s, 0, 0, scsi.ReserveOut{ServiceActionKey: 0xABCD, PowerLoss: true})
	persistentOut(t, s, 1, 1, scsi.ReserveOut{Key: 0xABCD})
	p.a.kill(t)
	p.b.awaitRole(t, "primary")
	for _, lost := range []string{"arbiter", "state"} {
		if err := os.RemoveAll(filepath.Join(p.a.dir, lost)); err != nil {
			t.Fatal(err)
		}
	}
	r := run(t, tandem, "serve", "-c", p.a.config)
	if r.code != 1 {
		t.Errorf("status %d, expected 1", r.code)
	}
	contains(t, r.stderr, "its data is gone", "--replace")
	p.a.process = start(t, tandem, "serve", "-c", p.a.config, "--replace")
	p.a.awaitLine(t, "msg=ready")
	eventually(t, "controller 1 is a candidate", func() bool { return p.b.candidates(t) == 2 })
	contains(t, succeed(t, tandem, "status", "--socket", p.b.socket), "members 1 2 w")
	p.witness.kill(t) // the vote of the one that was replaced is needed now
	if code := p.b.terminate(t); code != 0 {
		t.Errorf("controller 2 ended with status %d", code)
	}
	p.startWitness(t)
	p.a.awaitRole(t, "primary")
	if mayWrite(t, host{"other", 2}.session(t, p.a.portal, p.target)) {
		t.Error("a write is taken that the reservation forbids")
	}
}

// The witness and a controller are lost with their disks: nobody can be replaced,
// because who is left is no majority. The procedure is that of docs/ha.md.
func TestANewArbiterIsMadeWhereTheMajorityIsLostForGood(t *testing.T) {
	p := startPair(t)
	s := host{"owner", 1}.session(t, p.b.portal, p.target)
	persistentOut(t, s, 0, 0, scsi.ReserveOut{ServiceActionKey: 0xABCD, PowerLoss: true})
	persistentOut(t, s, 1, 1, scsi.ReserveOut{Key: 0xABCD})
	p.a.kill(t)
	p.b.awaitRole(t, "primary")
	p.witness.kill(t)
	p.b.kill(t)
	for _, gone := range []string{"1/arbiter", "1/state", "2/arbiter", "w/arbiter"} {
		if err := os.RemoveAll(filepath.Join(p.dir, "out", gone)); err != nil {
			t.Fatal(err)
		}
	}
	for _, member := range []string{"1", "2", "w"} {
		write(t, filepath.Join(p.dir, "out", member), "first-start."+member, "")
	}
	p.startWitness(t)
	p.b.start(t)
	p.b.awaitRole(t, "primary")
	p.a.start(t)
	eventually(t, "controller 1 is a candidate", func() bool { return p.b.candidates(t) == 2 })
	contains(t, succeed(t, tandem, "promote", lunName, "--socket", p.a.socket), lunName)
	for _, c := range []*controller{p.a, p.b} {
		if mayWrite(t, host{"other", 2}.session(t, c.portal, p.target)) {
			t.Errorf("through controller %d a write is taken that the reservation forbids", c.id)
		}
	}
	if !mayWrite(t, host{"owner", 1}.session(t, p.b.portal, p.target)) {
		t.Error("who holds the reservation may not write")
	}
}
