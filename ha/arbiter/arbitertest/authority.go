package arbitertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha/arbiter/etcd"
)

// serverName is the DNS name in the certificates.
const serverName = "tandem.test"

// authority signs certificates for one test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t)}
	a.cert = a.sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "test authority"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}, nil, &a.key.PublicKey)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sign makes a certificate, signed by parent or, when nil, by itself.
func (a *authority) sign(c, parent *x509.Certificate, pub *ecdsa.PublicKey) *x509.Certificate {
	a.t.Helper()
	a.next++
	c.SerialNumber = big.NewInt(a.next)
	c.NotBefore = time.Now().Add(-time.Hour)
	c.NotAfter = time.Now().Add(24 * time.Hour)
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return signed
}

// issue writes key and certificate files for each name into dir. They bear no
// address.
func (a *authority) issue(dir string, names []string) map[string]etcd.Credentials {
	a.t.Helper()
	ca := filepath.Join(dir, "ca.pem")
	a.write(ca, "CERTIFICATE", a.cert.Raw)
	out := map[string]etcd.Credentials{}
	for _, n := range names {
		key := newKey(a.t)
		cert := a.sign(&x509.Certificate{
			Subject:     pkix.Name{CommonName: "test " + n},
			DNSNames:    []string{serverName},
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}, a.cert, &key.PublicKey)
		der, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			a.t.Fatal(err)
		}
		c := etcd.Credentials{Cert: filepath.Join(dir, n+".pem"), Key: filepath.Join(dir, n+".key"), CA: ca, ServerName: serverName}
		a.write(c.Cert, "CERTIFICATE", cert.Raw)
		a.write(c.Key, "EC PRIVATE KEY", der)
		out[n] = c
	}
	return out
}

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}
