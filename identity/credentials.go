package identity

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"
)

// maxFile is the largest PEM file read, in bytes.
const maxFile = 1 << 20

// Credentials are what a member shows to its peers, and what it trusts. They
// do not change and may be used from many goroutines.
type Credentials struct {
	self     Identity
	pair     tls.Certificate
	roots    *x509.CertPool
	warnings []string
}

// Load reads PEM files: a certificate (perhaps with intermediates behind it),
// its private key, and the cluster's authority. It fails when a file cannot be
// read, key and certificate do not belong together, the certificate has
// expired, is not signed by the authority, or carries no identity.
func Load(certFile, keyFile, caFile string) (*Credentials, error) {
	certPEM, _, err := read("certificate", certFile)
	if err != nil {
		return nil, err
	}
	keyPEM, keyMode, err := read("key", keyFile)
	if err != nil {
		return nil, err
	}
	caPEM, _, err := read("ca", caFile)
	if err != nil {
		return nil, err
	}
	c, err := New(certPEM, keyPEM, caPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate %s, key %s, ca %s: %w", certFile, keyFile, caFile, err)
	}
	if keyMode&0o077 != 0 {
		c.warnings = append(c.warnings, fmt.Sprintf("key %s has mode %04o, expected 0600: others on this machine can use it", keyFile, keyMode))
	}
	return c, nil
}

// New makes Credentials of the contents of the files that Load reads.
func New(certPEM, keyPEM, caPEM []byte) (*Credentials, error) {
	if b, _ := pem.Decode(certPEM); b == nil || b.Type != "CERTIFICATE" {
		return nil, errors.New("certificate holds no PEM block of type CERTIFICATE")
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate and key do not belong together: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(caPEM) {
		return nil, errors.New("ca holds no PEM block of type CERTIFICATE")
	}
	c := &Credentials{pair: pair, roots: roots}
	if c.self, err = FromCertificate(pair.Leaf); err != nil {
		return nil, err
	}
	chain, err := chainOf(pair)
	if err != nil {
		return nil, err
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if err := c.verify(chain, usage); err != nil {
			return nil, err
		}
	}
	if left := time.Until(pair.Leaf.NotAfter); left < 30*24*time.Hour {
		c.warnings = append(c.warnings, fmt.Sprintf("certificate of %s expires at %s", c.self, pair.Leaf.NotAfter.Format(time.RFC3339)))
	}
	return c, nil
}

func read(what, file string) ([]byte, os.FileMode, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, fmt.Errorf("reading %s: %w", what, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("reading %s: %w", what, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, 0, fmt.Errorf("reading %s: %s is not a regular file of at most %d bytes", what, file, maxFile)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, 0, fmt.Errorf("reading %s: %w", what, err)
	}
	return b, info.Mode().Perm(), nil
}

func chainOf(pair tls.Certificate) ([]*x509.Certificate, error) {
	chain := make([]*x509.Certificate, len(pair.Certificate))
	for i, der := range pair.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("parsing certificate: %w", err)
		}
		chain[i] = cert
	}
	return chain, nil
}

// Identity is who the certificate says we are.
func (c *Credentials) Identity() Identity { return c.self }

// Format writes the identity under every verb: the key must not be printed.
func (c *Credentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.self.String()) }

// LogValue logs the identity.
func (c *Credentials) LogValue() slog.Value { return slog.StringValue(c.self.String()) }

// Warnings are what should be put right though it works: a key that others can
// read, a certificate that expires within 30 days.
func (c *Credentials) Warnings() []string { return c.warnings }

// Server is the configuration of the side that accepts connections. It demands
// a certificate of the same cluster from the peer.
func (c *Credentials) Server() *tls.Config {
	config := c.config(x509.ExtKeyUsageClientAuth)
	// The chain is verified by VerifyConnection, whose errors say more.
	config.ClientAuth = tls.RequireAnyClientCert
	config.SessionTicketsDisabled = true
	return config
}

// Client is the configuration of the side that connects. It demands a
// certificate of the same cluster from the peer, whatever its host name. Who
// means one peer in particular asks FromConnection who it got.
func (c *Credentials) Client() *tls.Config {
	config := c.config(x509.ExtKeyUsageServerAuth)
	// Not the host name: VerifyConnection verifies the chain and the identity.
	config.InsecureSkipVerify = true
	return config
}

func (c *Credentials) config(usage x509.ExtKeyUsage) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{c.pair},
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errors.New("peer has shown no certificate")
			}
			return c.verify(state.PeerCertificates, usage)
		},
	}
}

// verify accepts a chain that ends at the authority and whose first
// certificate belongs to a member of this cluster.
func (c *Credentials) verify(chain []*x509.Certificate, usage x509.ExtKeyUsage) error {
	intermediates := x509.NewCertPool()
	for _, cert := range chain[1:] {
		intermediates.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots:         c.roots,
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return fmt.Errorf("certificate of %q: %w", chain[0].Subject.CommonName, err)
	}
	peer, err := FromCertificate(chain[0])
	if err != nil {
		return err
	}
	if peer.Cluster != c.self.Cluster {
		return fmt.Errorf("certificate of %s is of another cluster, expected %q", peer, c.self.Cluster)
	}
	return nil
}
