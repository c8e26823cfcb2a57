package identity

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newAuthority(t *testing.T, cluster string) *Authority {
	t.Helper()
	a, err := NewAuthority(cluster)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *Authority, member Identity) *Credentials {
	t.Helper()
	cert, key, err := a.Issue(member)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(cert, key, a.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// handshake connects client to server over a pipe and returns how it went on
// each side, and whom each saw.
func handshake(t *testing.T, server, client *tls.Config) (atServer, atClient Identity, serverErr, clientErr error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	deadline := time.Now().Add(10 * time.Second)
	_ = a.SetDeadline(deadline)
	_ = b.SetDeadline(deadline)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.Close()
		conn := tls.Server(b, server)
		if serverErr = conn.Handshake(); serverErr != nil {
			return
		}
		atServer, serverErr = FromConnection(conn.ConnectionState())
		_, _ = conn.Write([]byte{1})
	}()
	conn := tls.Client(a, client)
	if clientErr = conn.Handshake(); clientErr == nil {
		// The server judges the client's certificate after the client's side
		// of a TLS 1.3 handshake has ended; its verdict comes with the first read.
		if _, clientErr = conn.Read(make([]byte, 1)); clientErr == nil {
			atClient, clientErr = FromConnection(conn.ConnectionState())
		}
	}
	a.Close()
	<-done
	return atServer, atClient, serverErr, clientErr
}

func TestMembersOfAClusterKnowEachOtherByCertificate(t *testing.T) {
	ca := newAuthority(t, "beast")
	one, w := OfNode("beast", 1), OfWitness("beast", "w")
	atServer, atClient, serverErr, clientErr := handshake(t, issue(t, ca, one).Server(), issue(t, ca, w).Client())
	if serverErr != nil || clientErr != nil {
		t.Fatal(serverErr, clientErr)
	}
	if atServer != w || atClient != one {
		t.Errorf("server saw %v, client saw %v", atServer, atClient)
	}
}

func TestPeersThatAreNotMembersAreRefused(t *testing.T) {
	ca := newAuthority(t, "beast")
	node := issue(t, ca, OfNode("beast", 1))
	stranger := issue(t, newAuthority(t, "beast"), OfNode("beast", 2))
	// The same authority key under another cluster's name.
	sibling := issue(t, &Authority{"other", ca.cert, ca.key}, OfNode("other", 2))
	noCert := node.Client()
	noCert.Certificates = nil
	old := node.Client()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12

	for _, test := range []struct {
		name           string
		server, client *tls.Config
		atServer       bool // the server is the one to refuse
		want           string
	}{
		{"client of another authority", node.Server(), trusting(stranger.Client()), true, "certificate signed by unknown authority"},
		{"server of another authority", trusting(stranger.Server()), node.Client(), false, "certificate signed by unknown authority"},
		{"client of another cluster", node.Server(), trusting(sibling.Client()), true, `another cluster, expected "beast"`},
		{"server of another cluster", trusting(sibling.Server()), node.Client(), false, `another cluster, expected "beast"`},
		{"client without a certificate", node.Server(), noCert, true, "certificate"},
		{"client that speaks TLS 1.2", node.Server(), old, true, "versions"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, serverErr, clientErr := handshake(t, test.server, test.client)
			err := clientErr
			if test.atServer {
				err = serverErr
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, expected one with %q", err, test.want)
			}
		})
	}
}

// trusting makes a configuration accept anybody, so that the other side is the
// one to refuse.
func trusting(c *tls.Config) *tls.Config {
	c.VerifyConnection = nil
	return c
}

func TestTheIdentityIsTheOneTandemURIOfTheCertificate(t *testing.T) {
	for _, test := range []struct {
		uris []string
		want Identity
		err  string
	}{
		{uris: []string{"tandem://beast/node/1"}, want: OfNode("beast", 1)},
		{uris: []string{"spiffe://x/y", "tandem://beast/witness/w-1"}, want: OfWitness("beast", "w-1")},
		{uris: nil, err: "no identity"},
		{uris: []string{"https://beast/node/1"}, err: "no identity"},
		{uris: []string{"tandem://beast/node/1", "tandem://beast/node/2"}, err: "two identities"},
		{uris: []string{"tandem://beast/node/0"}, err: "expected 1 to 8"},
		{uris: []string{"tandem://beast/node/9"}, err: "expected 1 to 8"},
		{uris: []string{"tandem://beast/node/01"}, err: "expected 1 to 8"},
		{uris: []string{"tandem://beast/node/1/x"}, err: "expected 1 to 8"},
		{uris: []string{"tandem://beast/king/1"}, err: "expected node or witness"},
		{uris: []string{"tandem:///node/1"}, err: "cluster"},
		{uris: []string{"tandem://beast:80/node/1"}, err: "cluster"},
		{uris: []string{"tandem://user@beast/node/1"}, err: "expected"},
		{uris: []string{"tandem://beast/node/1?x"}, err: "expected"},
		{uris: []string{"tandem://beast/witness/"}, err: "witness"},
	} {
		cert := &x509.Certificate{}
		for _, s := range test.uris {
			u, err := url.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			cert.URIs = append(cert.URIs, u)
		}
		got, err := FromCertificate(cert)
		if test.err == "" && (err != nil || got != test.want) {
			t.Errorf("%v: %v, %v", test.uris, got, err)
		}
		if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%v: error %v, expected one with %q", test.uris, err, test.err)
		}
	}
}

func TestNodeIDIsTheNumberOfAControllerOnly(t *testing.T) {
	if id := OfNode("beast", 7).NodeID(); id != 7 {
		t.Errorf("node 7 has id %d", id)
	}
	if id := OfWitness("beast", "3").NodeID(); id != 0 {
		t.Errorf("a witness has id %d", id)
	}
}

// files writes PEM files and returns their names.
func files(t *testing.T, cert, key, ca []byte) (certFile, keyFile, caFile string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string][]byte{"node.pem": cert, "node.key": key, "ca.pem": ca} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "node.pem"), filepath.Join(dir, "node.key"), filepath.Join(dir, "ca.pem")
}

func TestLoadSaysWhichFileIsWrongAndHow(t *testing.T) {
	ca := newAuthority(t, "beast")
	cert, key, err := ca.Issue(OfNode("beast", 1), netip.MustParseAddr("192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	_, otherKey, err := ca.Issue(OfNode("beast", 1))
	if err != nil {
		t.Fatal(err)
	}
	caKey, err := ca.Key()
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("text")
	for _, test := range []struct {
		name          string
		cert, key, ca []byte
		want          string
	}{
		{"all right", cert, key, ca.Certificate(), ""},
		{"key of another certificate", cert, otherKey, ca.Certificate(), "do not belong together"},
		{"certificate is text", text, key, ca.Certificate(), "certificate holds no PEM block"},
		{"certificate is a key", key, key, ca.Certificate(), "certificate holds no PEM block"},
		{"key is text", cert, text, ca.Certificate(), "do not belong together"},
		{"authority is text", cert, key, text, "ca holds no PEM block"},
		{"another authority", cert, key, newAuthority(t, "beast").Certificate(), "unknown authority"},
		{"authority's certificate as a member's", ca.Certificate(), caKey, ca.Certificate(), "no identity"},
		{"expired", sign(t, ca, key, time.Now().Add(-time.Hour), x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth), key, ca.Certificate(), "expired"},
		{"for clients only", sign(t, ca, key, time.Now().Add(time.Hour), x509.ExtKeyUsageClientAuth), key, ca.Certificate(), "key usage"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Load(files(t, test.cert, test.key, test.ca))
			if test.want == "" {
				if err != nil || c.Identity() != OfNode("beast", 1) || len(c.Warnings()) > 0 {
					t.Errorf("%v, %v", c, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, expected one with %q", err, test.want)
			}
		})
	}
}

// sign makes a certificate for the key with an end and usages of our choice.
func sign(t *testing.T, ca *Authority, keyPEM []byte, end time.Time, usages ...x509.ExtKeyUsage) []byte {
	t.Helper()
	key, err := parseKey(keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serialNumber(), NotBefore: end.Add(-2 * time.Hour), NotAfter: end, ExtKeyUsage: usages,
		URIs: []*url.URL{{Scheme: "tandem", Host: "beast", Path: "/node/1"}},
	}
	der, err := x509.CreateCertificate(nil, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("CERTIFICATE", der)
}

func TestLoadNamesAFileThatCannotBeRead(t *testing.T) {
	ca := newAuthority(t, "beast")
	cert, key, err := ca.Issue(OfNode("beast", 1))
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile, caFile := files(t, cert, key, ca.Certificate())
	missing := filepath.Join(t.TempDir(), "missing")
	for _, args := range [][3]string{{missing, keyFile, caFile}, {certFile, missing, caFile}, {certFile, keyFile, missing}} {
		if _, err := Load(args[0], args[1], args[2]); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), missing) {
			t.Errorf("%v: error %v", args, err)
		}
	}
	if _, err := Load(t.TempDir(), keyFile, caFile); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("a directory: error %v", err)
	}
}

func TestLoadWarnsOfWhatShouldBePutRight(t *testing.T) {
	ca := newAuthority(t, "beast")
	_, key, err := ca.Issue(OfNode("beast", 1))
	if err != nil {
		t.Fatal(err)
	}
	cert := sign(t, ca, key, time.Now().Add(time.Hour), x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth)
	certFile, keyFile, caFile := files(t, cert, key, ca.Certificate())
	if err := os.Chmod(keyFile, 0o640); err != nil {
		t.Fatal(err)
	}
	c, err := Load(certFile, keyFile, caFile)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(c.Warnings(), "\n")
	for _, want := range []string{"expires at", "has mode 0640, expected 0600"} {
		if !strings.Contains(got, want) {
			t.Errorf("warnings %q, expected one with %q", got, want)
		}
	}
}

func TestAnAuthorityThatWasStoredIssuesForTheSameCluster(t *testing.T) {
	ca := newAuthority(t, "beast")
	node := issue(t, ca, OfNode("beast", 1))
	key, err := ca.Key()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseAuthority("beast", ca.Certificate(), key)
	if err != nil {
		t.Fatal(err)
	}
	_, _, serverErr, clientErr := handshake(t, node.Server(), issue(t, again, OfNode("beast", 2)).Client())
	if serverErr != nil || clientErr != nil {
		t.Error(serverErr, clientErr)
	}
	otherKey, err := newAuthority(t, "beast").Key()
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2][]byte{{ca.Certificate(), otherKey}, {ca.Certificate(), nil}, {nil, key}, {key, key}, {ca.Certificate(), ca.Certificate()}} {
		if _, err := ParseAuthority("beast", pair[0], pair[1]); err == nil {
			t.Errorf("accepted\n%s%s", pair[0], pair[1])
		}
	}
}

func TestIssueRefusesWhatIsNoMember(t *testing.T) {
	ca := newAuthority(t, "beast")
	for _, who := range []Identity{OfNode("other", 1), OfNode("beast", 0), OfNode("beast", 9), OfWitness("beast", "a b"), {Cluster: "beast", Kind: "king", Name: "1"}} {
		if _, _, err := ca.Issue(who); err == nil {
			t.Errorf("issued for %v", who)
		}
	}
	if _, err := NewAuthority("a/b"); err == nil {
		t.Error("made an authority for a/b")
	}
}

func TestCertificatesNameTheAddressesForThoseWhoVerifyHosts(t *testing.T) {
	ca := newAuthority(t, "beast")
	certPEM, _, err := ca.Issue(OfNode("beast", 1), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fe80::1%eth0"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(certPEM)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1", "192.0.2.1", "fe80::1"} {
		if err := cert.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if len(cert.IPAddresses) != 4 {
		t.Errorf("addresses %v, expected each once", cert.IPAddresses)
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	ca := newAuthority(t, "beast")
	c := issue(t, ca, OfNode("beast", 1))
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "credentials", c, "authority", ca)
	for _, got := range []string{fmt.Sprintf("%v", c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c)} {
		if got != "tandem://beast/node/1" {
			t.Errorf("printed %q", got)
		}
	}
	if got := fmt.Sprintf("%+v", ca); got != "authority of beast" {
		t.Errorf("printed %q", got)
	}
	if !strings.HasSuffix(log.String(), "credentials=tandem://beast/node/1 authority=\"authority of beast\"\n") {
		t.Errorf("logged %q", log.String())
	}
}
