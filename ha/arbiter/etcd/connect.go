package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tandem-san/tandem/ha"
)

// ClientConfig describes a Store in an existing etcd cluster, version 3.4 or
// later.
type ClientConfig struct {
	// Endpoints are URLs, https://host:port, or http:// without TLS.
	Endpoints []string
	// CA is the PEM file of who signs the servers' certificates; the
	// system's authorities when empty. Cert and Key, both or none, identify
	// this client.
	CA, Cert, Key string
	// Cluster, Node and TTL are as for Member.Store; Cluster names the keys.
	Cluster string
	Node    ha.NodeID
	TTL     time.Duration
	// Log is required.
	Log *slog.Logger
}

// Keepalives find a dead connection. etcd takes pings more often than every
// 5 s amiss.
const (
	pingInterval = 6 * time.Second
	pingTimeout  = 2 * time.Second
)

// Connect makes a Store in an existing etcd cluster. It does not wait for a
// connection: the calls do.
func Connect(cfg ClientConfig) (*Store, error) {
	if cfg.Log == nil {
		return nil, errors.New("arbiter: no logger given")
	}
	secure, err := checkEndpoints(cfg.Endpoints)
	if err != nil {
		return nil, err
	}
	c := clientv3.Config{
		Endpoints:            slices.Clone(cfg.Endpoints),
		DialTimeout:          attemptTimeout,
		DialKeepAliveTime:    pingInterval,
		DialKeepAliveTimeout: pingTimeout,
		Logger:               newZap(cfg.Log, new(atomic.Bool)),
	}
	if secure {
		if c.TLS, err = cfg.tls(); err != nil {
			return nil, err
		}
	} else if cfg.CA != "" || cfg.Cert != "" || cfg.Key != "" {
		return nil, fmt.Errorf("arbiter: TLS files are given, but the endpoint %s is without TLS", cfg.Endpoints[0])
	} else {
		cfg.Log.Warn("the connection to etcd is not encrypted: who reaches it can change who serves", "endpoints", cfg.Endpoints)
	}
	client, err := clientv3.New(c)
	if err != nil {
		return nil, fmt.Errorf("arbiter: connect to etcd: %w", err)
	}
	return newStore(context.Background(), storeConfig{
		client: client, cluster: cfg.Cluster, node: cfg.Node, ttl: cfg.TTL,
		chunk: externalChunk, kind: KindExternal, log: cfg.Log,
	})
}

// checkEndpoints reports whether the endpoints speak TLS: all or none.
func checkEndpoints(endpoints []string) (secure bool, err error) {
	if n := len(endpoints); n < 1 || n > MaxMembers {
		return false, fmt.Errorf("arbiter: %d etcd endpoints, 1 to %d are accepted", n, MaxMembers)
	}
	for i, e := range endpoints {
		u, err := url.Parse(e)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Port() == "" || (u.Path != "" && u.Path != "/") || u.User != nil {
			return false, fmt.Errorf("arbiter: etcd endpoint %q: want https://host:port", e)
		}
		if i > 0 && (u.Scheme == "https") != secure {
			return false, fmt.Errorf("arbiter: etcd endpoints %q and %q: want all with TLS or none", endpoints[0], e)
		}
		secure = u.Scheme == "https"
	}
	return secure, nil
}

// tls reads the files.
func (cfg *ClientConfig) tls() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CA != "" {
		b, err := os.ReadFile(cfg.CA)
		if err != nil {
			return nil, fmt.Errorf("arbiter: CA: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("arbiter: CA %s: no certificate in it", cfg.CA)
		}
	}
	if cfg.Cert != "" || cfg.Key != "" {
		pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
		if err != nil {
			return nil, fmt.Errorf("arbiter: certificate %s, key %s: %w", cfg.Cert, cfg.Key, err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}
