// Package arbitertest runs real arbiters for the tests of other packages:
// embedded etcd members on loopback, each with its own certificate and a
// directory that goes with the test.
package arbitertest

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter/etcd"
	"github.com/tandem-san/tandem/identity"
)

// readyTime is how long a test waits for members to find each other.
const readyTime = 30 * time.Second

// Cluster is a set of members. Its methods fail the test instead of
// returning errors; they belong to the test's goroutine.
type Cluster struct {
	t testing.TB
	// Name is the cluster's name.
	Name string
	// TLS are the credentials by member.
	TLS     map[string]etcd.Credentials
	dir     string
	addrs   map[string]string
	members map[string]*etcd.Member
}

// Start runs a member of each name and waits until all are ready. One member
// ("1") is enough for most tests and ready in a tenth of a second; "1", "2",
// "w" is a real cluster. All end with the test.
func Start(t testing.TB, names ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t, Name: "test", dir: t.TempDir(), addrs: map[string]string{}, members: map[string]*etcd.Member{}}
	c.TLS = issue(t, c.Name, c.dir, names)
	for _, n := range names {
		c.addrs[n] = FreeAddr(t)
		if err := os.WriteFile(c.Config(n).FirstStart, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { c.Stop(slices.Collect(maps.Keys(c.members))...) })
	for _, n := range names {
		c.run(n)
	}
	c.Ready()
	return c
}

// issue writes an authority's and each member's files into dir.
func issue(t testing.TB, cluster, dir string, names []string) map[string]etcd.Credentials {
	t.Helper()
	authority, err := identity.NewAuthority(cluster)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	ca := write("ca.pem", authority.Certificate())
	files := map[string]etcd.Credentials{}
	for _, n := range names {
		member := identity.OfWitness(cluster, n)
		if id, err := strconv.ParseUint(n, 10, 8); err == nil {
			member = identity.OfNode(cluster, uint8(id))
		}
		cert, key, err := authority.Issue(member)
		if err != nil {
			t.Fatal(err)
		}
		files[n] = etcd.Credentials{Cert: write(n+".pem", cert), Key: write(n+".key", key), CA: ca}
	}
	return files
}

// Config is how a member is configured.
func (c *Cluster) Config(name string) etcd.Config {
	return etcd.Config{
		Cluster:    c.Name,
		Self:       name,
		DataDir:    filepath.Join(c.dir, name),
		FirstStart: filepath.Join(c.dir, "first-start."+name),
		Members:    maps.Clone(c.addrs),
		TLS:        c.TLS[name],
		Log:        slog.New(slog.NewTextHandler(c.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

// Ready waits until all running members are.
func (c *Cluster) Ready() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyTime)
	defer cancel()
	for n, m := range c.members {
		select {
		case <-m.Ready():
		case <-ctx.Done():
			c.t.Fatalf("arbiter member %s not ready after %v", n, readyTime)
		}
	}
}

func (c *Cluster) run(name string) {
	c.t.Helper()
	m, err := etcd.Start(c.Config(name))
	if err != nil {
		c.t.Fatalf("start arbiter member %s: %v", name, err)
	}
	c.members[name] = m
}

// Member is the running member of that name.
func (c *Cluster) Member(name string) *etcd.Member {
	c.t.Helper()
	m, ok := c.members[name]
	if !ok {
		c.t.Fatalf("arbiter member %s does not run", name)
	}
	return m
}

// Stop stops members, all at once; their data stays.
func (c *Cluster) Stop(names ...string) {
	c.t.Helper()
	var wg sync.WaitGroup
	for _, n := range names {
		m := c.Member(n)
		delete(c.members, n)
		wg.Go(func() {
			if err := m.Close(); err != nil {
				c.t.Errorf("close arbiter member %s: %v", n, err)
			}
		})
	}
	wg.Wait()
}

// Restart starts a stopped member with its data. It does not wait for it.
func (c *Cluster) Restart(name string) {
	c.t.Helper()
	c.run(name)
}

// Wipe removes the data of a stopped member.
func (c *Cluster) Wipe(name string) {
	c.t.Helper()
	if err := os.RemoveAll(c.Config(name).DataDir); err != nil {
		c.t.Fatal(err)
	}
}

// movedTo is a loopback address that no certificate bears.
const movedTo = "127.0.0.2"

// Move gives a stopped member another address, on 127.0.0.2.
func (c *Cluster) Move(name string) {
	c.t.Helper()
	c.addrs[name] = freeAddr(c.t, movedTo)
}

// Store makes a Store for the controller at the member of its number, or at
// the first of all when there is none. It is closed with the test.
func (c *Cluster) Store(node ha.NodeID) *etcd.Store {
	c.t.Helper()
	name := strconv.Itoa(int(node))
	if c.members[name] == nil {
		name = slices.Sorted(maps.Keys(c.members))[0]
	}
	return c.StoreAt(name, node)
}

// StoreAt makes a Store for the controller at a member.
func (c *Cluster) StoreAt(member string, node ha.NodeID) *etcd.Store {
	c.t.Helper()
	s, err := c.Member(member).Store(node, 0)
	if err != nil {
		c.t.Fatalf("arbiter store of node %d: %v", node, err)
	}
	c.t.Cleanup(func() { s.Close() })
	return s
}

// FreeAddr is an address on 127.0.0.1 that is free. Its port is below those
// that the system gives to outgoing connections, so that none of these takes
// it before the test does.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return freeAddr(t, "127.0.0.1")
}

func freeAddr(t testing.TB, host string) string {
	t.Helper()
	for range 100 {
		addr := net.JoinHostPort(host, strconv.Itoa(20000+rand.IntN(12000)))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port between 20000 and 32000")
	return ""
}
