package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"

	"github.com/tandem-san/tandem/ha"
)

// Timing of the embedded members. A member that misses its leader's
// heartbeats for the election timeout asks for votes.
const (
	heartbeat       = 50 * time.Millisecond
	electionTimeout = 500 * time.Millisecond
)

// Limits of the embedded members.
const (
	// quotaBytes is the largest database; at it etcd refuses to write.
	quotaBytes = 256 << 20
	// maxRequestBytes is the largest transaction: embeddedChunk grants with
	// the longest names fit.
	maxRequestBytes = 4 << 20
	// maxTxnOps is the most compares or puts in a transaction.
	maxTxnOps = 2048
	// keepRevisions is how much history survives compaction.
	keepRevisions = "1000"
	// snapshotEntries and catchUpEntries bound the raft log held in memory.
	snapshotEntries = 500
	catchUpEntries  = 200
	// slowRequest is worth a warning. Reads end before it, after
	// attemptTimeout: it is the disk that is slow.
	slowRequest = 2 * attemptTimeout
	// MaxMembers is the most members a cluster may have.
	MaxMembers = 9
)

// Errors a caller may want to tell apart.
var (
	// ErrInUse: another process has the data directory open.
	ErrInUse = errors.New("in use by another process")
	// ErrDataLost: the cluster knows this member, but its data directory is
	// empty. Starting it afresh could undo what it had agreed to.
	ErrDataLost = errors.New("the cluster knows this member, but its data is gone")
	// ErrStopped: the member has been closed or has stopped.
	ErrStopped = errors.New("the arbiter member has stopped")
)

// Credentials are the files for mutual TLS 1.3. All members' certificates
// come from one CA, are good for servers and clients, and share a DNS name: a
// peer is one of the cluster because of these, wherever it calls from.
type Credentials struct {
	// Cert, Key and CA are names of PEM files.
	Cert, Key, CA string
	// ServerName is the DNS name in every certificate of the cluster. When
	// empty it is the first in Cert.
	ServerName string
}

// Config describes an embedded member.
type Config struct {
	// Cluster is the cluster's name: 1 to 32 letters, digits, '_', '-'.
	Cluster string
	// Self is this member's name, a key of Members.
	Self string
	// DataDir is created when missing. It is this member's memory: it must
	// not be lost, copied or shared.
	DataDir string
	// FirstStart is the name of a file, outside of DataDir, that allows this member
	// to start without data, once: it is removed then.
	FirstStart string
	// Listen is the address for peers, IP:port; the one in Members when empty.
	Listen string
	// Members are the names and addresses (host:port) of all members, the
	// same at each of them. An odd number, three as a rule.
	Members map[string]string
	// TLS is required.
	TLS Credentials
	// Log gets what the member has to say; required.
	Log *slog.Logger
}

// Member is an etcd member inside this process. Its methods may be called
// from many goroutines.
type Member struct {
	cfg  Config
	dir  *dataDir
	etcd *embed.Etcd

	// ctx ends when the member is closed or has stopped.
	ctx     context.Context
	stop    context.CancelFunc
	work    sync.WaitGroup
	done    chan struct{}
	closing atomic.Bool

	closeOnce sync.Once
	mu        sync.Mutex
	err       error
}

// Start starts the member and returns when it runs here; it does not wait for
// others (see Ready). It fails with ErrInUse when a process has the data
// directory open and with ErrDataLost when there is no data though this is not
// the first start of the cluster, as far as can be known here and from others.
func Start(cfg Config) (*Member, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	dir, err := openDataDir(cfg.DataDir, cfg.Cluster, cfg.Self)
	if err != nil {
		return nil, err
	}
	joins, err := cfg.mayStart(dir)
	if err != nil {
		dir.close()
		return nil, err
	}
	cfg.Log = cfg.Log.With("member", cfg.Self)
	m := &Member{cfg: cfg, dir: dir, done: make(chan struct{})}
	m.ctx, m.stop = context.WithCancel(context.Background())
	if m.etcd, err = embed.StartEtcd(cfg.embed(newZap(cfg.Log, &m.closing), joins)); err != nil {
		m.stop()
		dir.close()
		return nil, cfg.explain(err)
	}
	if o := m.dir.owner; !o.Started || o.Replaced {
		// Without a word of this a loss of the data is found out only when
		// another member answers at the next start.
		o.Started, o.Replaced = true, false
		if err := m.dir.write(o); err != nil {
			m.Close()
			return nil, err
		}
	}
	m.work.Go(m.keep)
	m.work.Go(m.tendSockets)
	m.work.Go(m.replaceLost)
	m.work.Go(m.watchServer)
	return m, nil
}

// check refuses a Config that cannot work.
func (cfg *Config) check() error {
	if err := checkCluster(cfg.Cluster); err != nil {
		return err
	}
	if cfg.DataDir == "" {
		return errors.New("arbiter: no data directory given")
	}
	if cfg.FirstStart == "" {
		return errors.New("arbiter: no file named that allows the first start")
	}
	if cfg.Log == nil {
		return errors.New("arbiter: no logger given")
	}
	if n := len(cfg.Members); n < 1 || n > MaxMembers {
		return fmt.Errorf("arbiter: %d members, 1 to %d are accepted", n, MaxMembers)
	}
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(cfg.Members)) {
		addr := cfg.Members[name]
		if err := checkName("arbiter member", name); err != nil {
			return err
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("arbiter member %s: address %q: %w", name, addr, err)
		}
		if other, dup := seen[addr]; dup {
			return fmt.Errorf("arbiter members %s and %s have the same address %s", other, name, addr)
		}
		seen[addr] = name
	}
	if _, ok := cfg.Members[cfg.Self]; !ok {
		return fmt.Errorf("arbiter: this member %q is not among the members %v", cfg.Self, slices.Sorted(maps.Keys(cfg.Members)))
	}
	if cfg.Listen == "" {
		cfg.Listen = cfg.Members[cfg.Self]
	}
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil || net.ParseIP(host) == nil {
		return fmt.Errorf("arbiter: listen address %q: want IP:port", cfg.Listen)
	}
	return cfg.TLS.check()
}

// check makes sure that the files are there and fit together, and fills in
// ServerName.
func (c *Credentials) check() error {
	info := c.tlsInfo()
	if _, err := info.ServerConfig(); err != nil {
		return fmt.Errorf("arbiter: certificate %s, key %s, ca %s: %w", c.Cert, c.Key, c.CA, err)
	}
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return fmt.Errorf("arbiter: certificate %s, key %s: %w", c.Cert, c.Key, err)
	}
	if c.ServerName == "" && len(pair.Leaf.DNSNames) > 0 {
		c.ServerName = pair.Leaf.DNSNames[0]
	}
	if !slices.Contains(pair.Leaf.DNSNames, c.ServerName) {
		return fmt.Errorf("arbiter: certificate %s bears the DNS names %q: want %q, or any when that is empty", c.Cert, pair.Leaf.DNSNames, c.ServerName)
	}
	return nil
}

// tlsInfo turns the credentials into etcd's terms: on both sides a peer is
// known by the CA's signature and by ServerName, and not by its address.
func (c *Credentials) tlsInfo() transport.TLSInfo {
	return transport.TLSInfo{
		CertFile:            c.Cert,
		KeyFile:             c.Key,
		TrustedCAFile:       c.CA,
		ClientCertAuth:      true,
		ServerName:          c.ServerName,
		AllowedHostnames:    []string{c.ServerName},
		SkipClientSANVerify: true,
	}
}

func peerURL(addr string) url.URL { return url.URL{Scheme: "https", Host: addr} }

// embed turns the Config into etcd's terms.
func (cfg *Config) embed(log *zap.Logger, joins bool) *embed.Config {
	e := embed.NewConfig()
	e.Name = cfg.Self
	e.Dir = cfg.DataDir
	e.ZapLoggerBuilder = embed.NewZapLoggerBuilder(log)
	self := peerURL(cfg.Members[cfg.Self])
	e.ListenPeerUrls = []url.URL{peerURL(cfg.Listen)}
	e.AdvertisePeerUrls = []url.URL{self}
	// Nothing listens for clients. Yet an address must be advertised: a
	// member without one counts as not started, and etcd would then not
	// notice that a member lost its data (bootstrap.go, isMemberBootstrapped).
	e.ListenClientUrls = []url.URL{}
	e.AdvertiseClientUrls = []url.URL{self}
	e.EnableGRPCGateway = false
	e.PeerTLSInfo = cfg.TLS.tlsInfo()
	e.TlsMinVersion = "TLS1.3"

	var initial []string
	for _, name := range slices.Sorted(maps.Keys(cfg.Members)) {
		u := peerURL(cfg.Members[name])
		initial = append(initial, name+"="+u.String())
	}
	e.InitialCluster = strings.Join(initial, ",")
	e.InitialClusterToken = cfg.Cluster
	e.ClusterState = embed.ClusterStateFlagNew
	if joins {
		e.ClusterState = embed.ClusterStateFlagExisting
	}

	e.TickMs = uint(heartbeat / time.Millisecond)
	e.ElectionMs = uint(electionTimeout / time.Millisecond)
	e.PreVote = true
	e.SnapshotCount = snapshotEntries
	e.SnapshotCatchUpEntries = catchUpEntries
	e.QuotaBackendBytes = quotaBytes
	e.MaxTxnOps = maxTxnOps
	e.MaxRequestBytes = maxRequestBytes
	e.AutoCompactionMode = embed.CompactorModeRevision
	e.AutoCompactionRetention = keepRevisions
	e.WarningApplyDuration = slowRequest
	e.WarningUnaryRequestDuration = slowRequest
	return e
}

// explain names the cause of a failed start in the user's terms.
func (cfg *Config) explain(err error) error {
	if strings.Contains(err.Error(), "has already been bootstrapped") {
		return fmt.Errorf("arbiter member %s, data directory %s: %w. Restore it, or let the others take the member in anew: start it once with --replace",
			cfg.Self, cfg.DataDir, ErrDataLost)
	}
	return fmt.Errorf("start arbiter member %s: %w", cfg.Self, err)
}

// Ready is closed when the member has found a majority and joined it.
func (m *Member) Ready() <-chan struct{} { return m.etcd.Server.ReadyNotify() }

// Done is closed when the member no longer runs; Err then says why.
func (m *Member) Done() <-chan struct{} { return m.done }

// Err is nil while the member runs and after Close; otherwise why it stopped.
func (m *Member) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Store returns a Store that speaks for the controller through this member.
// ttl is the life of its lease, 0 for DefaultTTL. When the member ends, so do
// the calls of the Store; it must be closed all the same, before the member.
func (m *Member) Store(node ha.NodeID, ttl time.Duration) (*Store, error) {
	if m.ctx.Err() != nil {
		return nil, ErrStopped
	}
	return newStore(m.ctx, storeConfig{
		client: v3client.New(m.etcd.Server), cluster: m.cfg.Cluster, node: node, ttl: ttl,
		chunk: embeddedChunk, kind: KindEmbedded, log: m.cfg.Log,
	})
}

// watchServer closes done when the server ends, by itself or by Close.
func (m *Member) watchServer() {
	defer close(m.done)
	var err error
	select {
	case <-m.etcd.Server.StopNotify():
		err = ErrStopped
	case e := <-m.etcd.Err():
		err = fmt.Errorf("%w: %w", ErrStopped, e)
	case <-m.ctx.Done():
		return
	}
	if m.closing.Load() {
		return
	}
	m.stop()
	m.mu.Lock()
	m.err = fmt.Errorf("member %s: %w", m.cfg.Self, err)
	m.mu.Unlock()
	m.cfg.Log.Error("arbiter member stopped by itself", "err", err)
}

// stepDownTime is how long Close tries to give the leadership away.
const stepDownTime = 300 * time.Millisecond

// Close stops the member, within about a second even when no majority is
// reached, and returns when all is released. A leader first tries to hand
// over. It is safe to call more than once.
func (m *Member) Close() error {
	m.closeOnce.Do(func() {
		m.closing.Store(true)
		m.stop()
		m.work.Wait()
		m.stepDown()
		m.etcd.Server.HardStop()
		m.etcd.Close()
		m.dir.close()
	})
	return nil
}

// stepDown gives the leadership to another member that answers.
func (m *Member) stepDown() {
	s := m.etcd.Server
	if s.Leader() != s.MemberID() || len(s.Cluster().Members()) < 2 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stepDownTime)
	defer cancel()
	for _, p := range s.Cluster().Members() {
		if p.ID == s.MemberID() || p.IsLearner {
			continue
		}
		tctx, tcancel := context.WithTimeout(ctx, stepDownTime/2)
		err := s.MoveLeader(tctx, uint64(s.MemberID()), uint64(p.ID))
		tcancel()
		if err == nil {
			return
		}
	}
}
