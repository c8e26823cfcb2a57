package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

// How long what an Authority signs is good for. Members of a cluster are not
// replaced each year; a key that is lost is answered by a new authority.
const (
	validity = 10 * 365 * 24 * time.Hour
	// backdate makes a new certificate good on machines whose clock is behind.
	backdate = time.Hour
)

// Authority signs the certificates of one cluster. Its key makes members: keep
// it off the controllers.
type Authority struct {
	cluster string
	cert    *x509.Certificate
	key     crypto.Signer
}

// NewAuthority makes an authority with a fresh key (ECDSA P-256).
func NewAuthority(cluster string) (*Authority, error) {
	if !isLabel(cluster) {
		return nil, fmt.Errorf("cluster %q, expected 1 to 32 letters, digits, - or _", cluster)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of the authority: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serialNumber(),
		Subject:               pkix.Name{CommonName: "Tandem cluster " + cluster},
		NotBefore:             time.Now().Add(-backdate),
		NotAfter:              time.Now().Add(validity + backdate),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate of the authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making the certificate of the authority: %w", err)
	}
	return &Authority{cluster, cert, key}, nil
}

// ParseAuthority makes an authority of what Certificate and Key gave.
func ParseAuthority(cluster string, certPEM, keyPEM []byte) (*Authority, error) {
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return nil, errors.New("certificate of the authority holds no PEM block")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing the certificate of the authority: %w", err)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, err
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) {
		return nil, errors.New("certificate and key of the authority do not belong together")
	}
	return &Authority{cluster, cert, key}, nil
}

// Format names the cluster under every verb: the key must not be printed.
func (a *Authority) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "authority of "+a.cluster)
}

// Certificate is the authority's certificate, PEM; every member has it.
func (a *Authority) Certificate() []byte { return encode("CERTIFICATE", a.cert.Raw) }

// Key is the authority's private key, PEM (PKCS #8).
func (a *Authority) Key() ([]byte, error) { return encodeKey(a.key) }

// Issue makes a certificate with a fresh key (ECDSA P-256), both PEM, for a
// member that is reached at some addresses. "localhost" and the loopback
// addresses are always among them.
func (a *Authority) Issue(member Identity, addresses ...netip.Addr) (certPEM, keyPEM []byte, err error) {
	if err := member.check(); err != nil {
		return nil, nil, err
	}
	if member.Cluster != a.cluster {
		return nil, nil, fmt.Errorf("%s is of another cluster than the authority, %q", member, a.cluster)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making the key of %s: %w", member, err)
	}
	template := &x509.Certificate{
		SerialNumber: serialNumber(),
		Subject:      pkix.Name{CommonName: fmt.Sprintf("%s %s of %s", member.Kind, member.Name, member.Cluster)},
		NotBefore:    time.Now().Add(-backdate),
		NotAfter:     time.Now().Add(validity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  hosts(addresses),
		URIs:         []*url.URL{{Scheme: scheme, Host: member.Cluster, Path: "/" + string(member.Kind) + "/" + member.Name}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("making the certificate of %s: %w", member, err)
	}
	keyPEM, err = encodeKey(key)
	return encode("CERTIFICATE", der), keyPEM, err
}

func hosts(addresses []netip.Addr) []net.IP {
	all := append([]netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}, addresses...)
	var ips []net.IP
	for i, addr := range all {
		if addr = addr.Unmap().WithZone(""); !slices.Contains(all[:i], addr) {
			ips = append(ips, addr.AsSlice())
		}
	}
	return ips
}

// serialNumber is 127 random bits (RFC 5280 §4.1.2.2 asks for a positive
// number of at most 20 bytes).
func serialNumber() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a private key: %w", err)
	}
	return encode("PRIVATE KEY", der), nil
}

func parseKey(keyPEM []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, errors.New("key holds no PEM block")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing a private key: %w", err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key of type %T cannot sign", parsed)
	}
	return key, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
