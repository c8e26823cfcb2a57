// Package identity says who is who in a cluster. A controller or witness is
// known by the certificate it shows, never by the address it calls from: the
// certificate carries a URI tandem://<cluster>/node/<id> or
// tandem://<cluster>/witness/<name> as its subject alternative name, and is
// signed by the cluster's own authority.
//
// The package loads certificate, key and authority from files into TLS
// configurations for both sides of a connection, TLS 1.3 only (RFC 8446) and
// mutual, and it issues certificates (Authority). It must never accept a peer
// whose chain does not end at the cluster's authority, or one of another
// cluster, and never print a key. Host names and addresses in certificates are
// not looked at here; they are there for etcd, which does.
package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Kind is what a member of a cluster is.
type Kind string

// The kinds.
const (
	Node    Kind = "node"    // a controller; its name is its id, 1 to 8
	Witness Kind = "witness" // a vote that serves no disk
)

const scheme = "tandem"

// Identity names a member of a cluster.
type Identity struct {
	Cluster string
	Kind    Kind
	Name    string
}

// OfNode is the identity of a controller.
func OfNode(cluster string, id uint8) Identity {
	return Identity{cluster, Node, strconv.Itoa(int(id))}
}

// OfWitness is the identity of a witness.
func OfWitness(cluster, name string) Identity {
	return Identity{cluster, Witness, name}
}

// String gives the URI, tandem://cluster/kind/name.
func (i Identity) String() string {
	return fmt.Sprintf("%s://%s/%s/%s", scheme, i.Cluster, i.Kind, i.Name)
}

// NodeID is the id of a controller; 0 when i is none.
func (i Identity) NodeID() uint8 {
	n, err := strconv.ParseUint(i.Name, 10, 8)
	if err != nil || i.Kind != Node {
		return 0
	}
	return uint8(n)
}

// check reports what keeps i from being an identity.
func (i Identity) check() error {
	switch {
	case !isLabel(i.Cluster):
		return fmt.Errorf("cluster %q, expected 1 to 32 letters, digits, - or _", i.Cluster)
	case i.Kind == Node && (len(i.Name) != 1 || i.Name < "1" || i.Name > "8"):
		return fmt.Errorf("node %q, expected 1 to 8", i.Name)
	case i.Kind == Witness && !isLabel(i.Name):
		return fmt.Errorf("witness %q, expected 1 to 32 letters, digits, - or _", i.Name)
	case i.Kind != Node && i.Kind != Witness:
		return fmt.Errorf("kind %q, expected node or witness", i.Kind)
	}
	return nil
}

func isLabel(s string) bool {
	return s != "" && len(s) <= 32 && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", r)
	})
}

// parse reads the URI form.
func parse(u *url.URL) (Identity, error) {
	kind, name, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	i := Identity{Cluster: u.Host, Kind: Kind(kind), Name: name}
	if err := i.check(); err != nil {
		return Identity{}, fmt.Errorf("identity %q: %w", u, err)
	}
	if i.String() != u.String() {
		return Identity{}, fmt.Errorf("identity %q, expected %q", u, i)
	}
	return i, nil
}

// FromCertificate returns the identity in a certificate. Whether the
// certificate can be trusted is another question; see Credentials.
func FromCertificate(cert *x509.Certificate) (Identity, error) {
	var found *url.URL
	for _, u := range cert.URIs {
		if u.Scheme != scheme {
			continue
		}
		if found != nil {
			return Identity{}, fmt.Errorf("certificate has two identities, %q and %q", found, u)
		}
		found = u
	}
	if found == nil {
		return Identity{}, errors.New("certificate has no identity, expected a URI subject alternative name such as tandem://cluster/node/1")
	}
	return parse(found)
}

// FromConnection returns the identity of the peer at the other end of a
// connection that was made with a configuration of Credentials, which has
// verified it.
func FromConnection(state tls.ConnectionState) (Identity, error) {
	if len(state.PeerCertificates) == 0 {
		return Identity{}, errors.New("peer has shown no certificate")
	}
	return FromCertificate(state.PeerCertificates[0])
}
