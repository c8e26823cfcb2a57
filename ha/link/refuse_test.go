package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/identity"
)

// stillUp fails the test when the pair 1 and 2 was disturbed.
func stillUp(t *testing.T, one, two *node) {
	t.Helper()
	if len(one.events) != 0 || len(two.events) != 0 || one.State(2) != Established || two.State(1) != Established {
		t.Error("the link between the others was disturbed")
	}
}

func TestWhoDoesNotFitIsRefusedAndBothSidesSayWhyOnce(t *testing.T) {
	other := authority(t, "beast")
	key := func(a *identity.Authority) []byte {
		k, err := a.Key()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for _, x := range []struct {
		name string
		// nodes 1 and 2 of the cluster, changed
		change func(c *cluster, one, two *Config)
		says1  []string // what node 1 logs
		says2  []string // what node 2 logs
	}{
		{
			name: "a certificate of another authority",
			change: func(c *cluster, _, two *Config) {
				two.Credentials = credentials(t, other, identity.OfNode("beast", 2), other)
			},
			says1: []string{"HA peer refused", "certificate"},
			says2: []string{"HA peer refused", "unknown authority"},
		},
		{
			name: "a certificate of another authority that trusts ours",
			change: func(c *cluster, _, two *Config) {
				cert, k, err := other.Issue(identity.OfNode("beast", 2))
				if err != nil {
					t.Fatal(err)
				}
				both := append(other.Certificate(), c.ca.Certificate()...)
				if two.Credentials, err = identity.New(cert, k, both); err != nil {
					t.Fatal(err)
				}
			},
			says1: []string{"HA peer refused", "unknown authority"},
			says2: []string{"HA peer refused", "remote error: tls"},
		},
		{
			name: "the name of another cluster under the same authority",
			change: func(c *cluster, _, two *Config) {
				beauty, err := identity.ParseAuthority("beauty", c.ca.Certificate(), key(c.ca))
				if err != nil {
					t.Fatal(err)
				}
				two.Cluster = "beauty"
				two.Credentials = credentials(t, beauty, identity.OfNode("beauty", 2), beauty)
			},
			says1: []string{"HA peer refused", "remote error: tls"},
			says2: []string{"HA peer refused", "another cluster", "beauty", "beast"},
		},
		{
			name: "a witness",
			change: func(c *cluster, _, two *Config) {
				cert := credentials(t, c.ca, identity.OfWitness("beast", "w"), c.ca)
				two.Credentials = cert
			},
			says1: []string{"HA peer refused", "witness/w", "not a controller"},
			says2: []string{"HA peer refused", "refused by the peer", "witness/w"},
		},
		{
			name: "two nodes with id 2",
			change: func(c *cluster, one, two *Config) {
				one.Node, one.Peers = 2, map[ha.NodeID]string{1: c.addresses[2]}
				one.Credentials = credentials(t, c.ca, identity.OfNode("beast", 2), c.ca)
			},
			says1: []string{"HA peer refused", "two nodes have id 2"},
			says2: []string{"HA peer refused", "two nodes have id 2"},
		},
		{
			name: "two nodes with id 1",
			change: func(c *cluster, one, two *Config) {
				two.Node, two.Peers = 1, map[ha.NodeID]string{2: c.addresses[1]}
				two.Credentials = credentials(t, c.ca, identity.OfNode("beast", 1), c.ca)
			},
			says1: []string{"HA peer refused", "two nodes have id 1"},
			says2: []string{"HA peer refused", "two nodes have id 1"},
		},
		{
			name: "a node the other does not know",
			change: func(c *cluster, one, _ *Config) {
				one.Peers = map[ha.NodeID]string{3: c.addresses[2]}
			},
			says1: []string{"HA peer refused", "node 2 is not a peer of node 1"},
			says2: []string{"HA peer refused", "refused by the peer", "node 2 is not a peer of node 1"},
		},
		{
			name: "another node at the address",
			change: func(c *cluster, one, two *Config) {
				one.Node, one.Peers = 3, map[ha.NodeID]string{2: "127.0.0.1:1"} // where nobody answers
				one.Credentials = credentials(t, c.ca, identity.OfNode("beast", 3), c.ca)
				two.Peers[3] = c.addresses[1]
			},
			says1: []string{"HA peer refused", "node 3 answers at the address of node 1"},
			says2: []string{"HA peer refused", "node 3 answers at the address of node 1"},
		},
		{
			name: "conflicting configurations",
			change: func(c *cluster, one, two *Config) {
				one.Configuration, two.Configuration = []byte("mode 0"), []byte("mode 2")
				one.Compare = func(peer ha.NodeID, theirs []byte) error {
					if string(theirs) != "mode 0" {
						return fmt.Errorf("ours is %q, that of node %d is %q", "mode 0", peer, theirs)
					}
					return nil
				}
			},
			says1: []string{"HA peer refused", "mode 0", "that of node 2", "mode 2"},
			says2: []string{"HA peer refused", "refused by the peer", "mode 0", "mode 2"},
		},
		{
			name: "configurations that only the dialling side minds",
			change: func(c *cluster, _, two *Config) {
				two.Compare = func(ha.NodeID, []byte) error { return errors.New("sizes 1G and 2G differ") }
			},
			says1: []string{"HA peer refused", "refused by the peer", "1G and 2G"},
			says2: []string{"HA peer refused", "1G and 2G"},
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := newCluster(t, 1, 2)
			config1, config2 := c.config(1), c.config(2)
			x.change(c, &config1, &config2)
			one, two := c.start(config1), c.tolerant(config2)
			one.logged(t, x.says1...)
			two.logged(t, x.says2...)
			time.Sleep(100 * time.Millisecond) // several more attempts
			one.stop()
			two.stop()
			for i, n := range []*node{one, two} {
				says := [][]string{x.says1, x.says2}[i]
				if got := n.log.count(says...); got > 2 {
					t.Errorf("node %d says so %d times:\n%s", i+1, got, n.log)
				}
				if len(n.events) != 0 {
					t.Errorf("node %d: %s", i+1, <-n.events)
				}
			}
		})
	}
}

// tolerant starts a node whose certificate need not fit its configuration.
func (c *cluster) tolerant(config Config) *node {
	c.Helper()
	shown := config.Credentials
	fitting := authority(c, config.Cluster)
	config.Credentials = credentials(c, fitting, identity.OfNode(config.Cluster, uint8(config.Node)), fitting)
	n := c.prepare(config)
	n.server, n.client = shown.Server(), shown.Client()
	return c.startPrepared(n)
}

func TestALaterProcessWithTheSameIdWinsAndTheEarlierIsToldSo(t *testing.T) {
	c := newCluster(t, 1, 2)
	one := c.start(c.config(1))
	config := c.config(2)
	config.Listen, config.Boot = "", 0xa
	a := c.start(config)
	one.expect(t, "up 2 0xa")
	a.expect(t, "up 1 0x1")
	config.Boot = 0xb
	b := c.start(config)
	one.expect(t, "down 2")
	one.expect(t, "up 2 0xb")
	b.expect(t, "up 1 0x1")
	a.expect(t, "down 1")
	one.logged(t, "two nodes have id 2")
	a.logged(t, "refused by the peer", "two nodes have id 2")
	if p := a.Peers()[0]; !strings.Contains(p.Problem, "two nodes have id 2") || p.State != Configured {
		t.Errorf("status %+v", p)
	}
	stillUp(t, one, b)
}

func TestAPeerOfAnotherVersionIsRefused(t *testing.T) {
	c := newCluster(t, 1, 2)
	one := c.start(c.config(1))
	config := credentials(t, c.ca, identity.OfNode("beast", 2), c.ca).Client()
	conn, err := tls.Dial("tcp", c.addresses[1], config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	other := encodeGreeting(greetHello, []byte("something of a later version"))
	other[9] = Version + 1
	if _, err := conn.Write(other); err != nil {
		t.Fatal(err)
	}
	_, _, err = readGreeting(conn)
	want := fmt.Sprintf("refused by the peer: protocol version %d here, %d there: both controllers must run the same release", Version, Version+1)
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	one.logged(t, "HA peer refused", "protocol version")
}

func TestADialledControllerOfAnotherVersionIsRefused(t *testing.T) {
	c := newCluster(t, 1, 2)
	listener, err := tls.Listen("tcp", c.addresses[1], credentials(t, c.ca, identity.OfNode("beast", 1), c.ca).Server())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	two := c.start(c.config(2))
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := readHello(conn); err != nil {
		t.Fatal(err)
	}
	refusal := encodeRefusal("this is version 9")
	refusal[9] = 9
	if _, err := conn.Write(refusal); err != nil {
		t.Fatal(err)
	}
	two.logged(t, "HA peer refused", "refused by the peer: this is version 9")
}

func TestGarbageBeforeAndAfterTLSDisturbsNobody(t *testing.T) {
	c := newCluster(t, 1, 2, 3)
	one, two := c.start(c.config(1)), c.start(c.config(2))
	one.expect(t, "up 2 0x2")
	two.expect(t, "up 1 0x1")

	plainTCP, err := net.Dial("tcp", c.addresses[1])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plainTCP.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = plainTCP.SetReadDeadline(time.Now().Add(testWait))
	if _, err := io.ReadAll(plainTCP); errors.Is(err, context.DeadlineExceeded) {
		t.Error("the connection was left open")
	}
	plainTCP.Close()
	one.logged(t, "HA peer refused", "127.0.0.1", "tls")

	for _, garbage := range [][]byte{
		[]byte("GET / HTTP/1.0\r\nHost: x\r\n\r\n"),
		encodeGreeting(greetAccept, nil),
		encodeGreeting(greetHello, []byte("short")),
		encodeGreeting(greetHello, make([]byte, 100)),
		append(encodeGreeting(greetHello, nil)[:12], 0xff, 0xff, 0xff, 0xff),
	} {
		conn, err := tls.Dial("tcp", c.addresses[1], credentials(t, c.ca, identity.OfNode("beast", 3), c.ca).Client())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(garbage); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(testWait))
		var r *refusal
		if _, _, err := readGreeting(conn); !errors.As(err, &r) || !r.byPeer {
			t.Errorf("%q was answered with %v, want a refusal", garbage[:min(20, len(garbage))], err)
		}
		conn.Close()
	}
	stillUp(t, one, two)
}

func TestConnectionsThatSayNothingAreFewAndEnd(t *testing.T) {
	c := newCluster(t, 1, 2)
	n := c.prepare(c.config(1))
	n.timing.greet = 200 * time.Millisecond
	one := c.startPrepared(n)
	var silent []net.Conn
	for range maxGreetersPerHost + 5 {
		conn, err := net.Dial("tcp", c.addresses[1])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		silent = append(silent, conn)
	}
	one.logged(t, "too many connections that do not say hello")
	for _, conn := range silent {
		_ = conn.SetReadDeadline(time.Now().Add(testWait))
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, context.DeadlineExceeded) {
			t.Fatal("a silent connection stays open")
		}
	}
	two := c.start(c.config(2))
	one.expect(t, "up 2 0x2")
	two.expect(t, "up 1 0x1")
}

func TestAClientWithoutACertificateIsRefused(t *testing.T) {
	c := newCluster(t, 1, 2)
	one := c.start(c.config(1))
	conn, err := tls.Dial("tcp", c.addresses[1], &tls.Config{InsecureSkipVerify: true})
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
	}
	if err == nil {
		t.Error("no certificate, no error")
	}
	one.logged(t, "HA peer refused", "certificate")
}

func TestReasonsAreBoundedAndForgottenWhenThePeerComesUp(t *testing.T) {
	var r reports
	for i := range 1000 {
		for j := range 100 {
			r.first(fmt.Sprint("host ", i), fmt.Sprint("reason ", j))
		}
	}
	if len(r.seen) != maxReportKeys || len(r.seen["host 1"]) != maxReportReasons {
		t.Errorf("%d keys, %d reasons", len(r.seen), len(r.seen["host 1"]))
	}
	if r.first("host 1", "reason 0") || r.last("host 1") != "reason 0" {
		t.Errorf("last is %q", r.last("host 1"))
	}
	r.forget("host 1")
	if r.last("host 1") != "" || !r.first("host 1", "reason 0") {
		t.Error("not forgotten")
	}
}
