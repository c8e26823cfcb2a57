package etcd

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

// A member that has lost its data asks the others to replace it. It cannot ask
// over etcd's own protocols, because there it is still the member that it was.
// So it answers HTTPS at its own address, where the others look for it: to GET
// that it wants to be replaced, with a word that only this asking has; and when
// the leader has removed the member and added it anew, it is told with POST and
// that word. Both sides show their certificates. Nobody else is asked, and
// a member with data never answers so.

const (
	rejoinPath = "/tandem/rejoin"
	// maxRejoinBytes bounds what either side reads.
	maxRejoinBytes = 4096
	// rejoinTimeout bounds one request.
	rejoinTimeout = time.Second
	// lookEvery is how often the leader looks for such members.
	lookEvery = 2 * time.Second
)

// rejoinWish is what a member that lost its data says of itself.
type rejoinWish struct {
	Cluster string `json:"cluster"`
	Member  string `json:"member"`
	Word    string `json:"word"`
}

// Rejoin has the other members replace this one, whose data is lost, and
// returns when they have; Start then begins with what they have. A majority
// must run without this member. When there is data nothing happens.
func Rejoin(ctx context.Context, cfg Config) error {
	if err := cfg.check(); err != nil {
		return err
	}
	dir, err := openDataDir(cfg.DataDir, cfg.Cluster, cfg.Self)
	if err != nil {
		return err
	}
	defer dir.close()
	switch {
	case dir.hasData():
		cfg.Log.Warn("the arbiter member has its data: it is not replaced", "member", cfg.Self, "data", cfg.DataDir)
		return nil
	case dir.owner.Replaced:
		return nil
	case len(cfg.Members) < 3:
		return fmt.Errorf("arbiter member %s of %d: the others are no majority without it and cannot replace it", cfg.Self, len(cfg.Members))
	}
	info := cfg.TLS.tlsInfo()
	tlsConfig, err := info.ServerConfig()
	if err != nil {
		return fmt.Errorf("arbiter: %w", err)
	}
	tlsConfig.MinVersion = tls.VersionTLS13
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("arbiter: %w", err)
	}
	cfg.Log.Info("waiting for the other arbiter members to replace this one", "member", cfg.Self, "listen", cfg.Listen)
	r := &rejoiner{wish: rejoinWish{cfg.Cluster, cfg.Self, rand.Text()}, dir: dir, log: cfg.Log, done: make(chan struct{})}
	return r.serve(ctx, tls.NewListener(listener, tlsConfig))
}

// rejoiner answers the others until it is told that it was replaced.
type rejoiner struct {
	wish rejoinWish
	dir  *dataDir
	log  *slog.Logger
	done chan struct{}
}

func (r *rejoiner) serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: r, ReadTimeout: rejoinTimeout, WriteTimeout: rejoinTimeout, IdleTimeout: rejoinTimeout,
		MaxHeaderBytes: maxRejoinBytes, ErrorLog: slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	var err error
	select {
	case <-ctx.Done():
		err = fmt.Errorf("arbiter: waiting to be replaced: %w", ctx.Err())
	case <-r.done:
	case err = <-ended:
		return fmt.Errorf("arbiter: waiting to be replaced: %w", err)
	}
	// The answer to the last request still goes out.
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), rejoinTimeout)
	defer cancel()
	if server.Shutdown(late) != nil {
		server.Close()
	}
	<-ended
	return err
}

// ServeHTTP implements http.Handler. TLS has seen to it that the peer is one of
// the cluster.
func (r *rejoiner) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.URL.Path != rejoinPath {
		http.NotFound(w, q)
		return
	}
	switch q.Method {
	case http.MethodGet:
		if err := json.NewEncoder(w).Encode(r.wish); err != nil {
			panic(http.ErrAbortHandler)
		}
	case http.MethodPost:
		word, err := io.ReadAll(io.LimitReader(q.Body, maxRejoinBytes))
		if err != nil || subtle.ConstantTimeCompare(word, []byte(r.wish.Word)) != 1 {
			http.Error(w, "another word is expected", http.StatusForbidden)
			return
		}
		o := r.dir.owner
		o.Started, o.Replaced = false, true
		if err := r.dir.write(o); err != nil {
			http.Error(w, "it cannot be written down", http.StatusInternalServerError)
			return
		}
		select {
		case <-r.done:
		default:
			close(r.done)
		}
	default:
		http.Error(w, "GET or POST", http.StatusMethodNotAllowed)
	}
}

// replacer is how the leader finds members that wish to be replaced.
type replacer struct {
	m       *Member
	members *clientv3.Client
	client  *http.Client
}

// replaceLost looks for members that wish to be replaced until this one ends.
func (m *Member) replaceLost() {
	info := m.cfg.TLS.tlsInfo()
	tlsConfig, err := info.ClientConfig()
	if err != nil {
		m.cfg.Log.Error("arbiter members that lost their data cannot be replaced from here", "err", err)
		return
	}
	tlsConfig.MinVersion = tls.VersionTLS13
	// Connections are kept: a member that is well answers with 404 over the
	// same one for as long as it runs.
	transport := &http.Transport{TLSClientConfig: tlsConfig, MaxIdleConnsPerHost: 1, TLSHandshakeTimeout: rejoinTimeout}
	defer transport.CloseIdleConnections()
	r := &replacer{m: m, members: v3client.New(m.etcd.Server), client: &http.Client{Transport: transport, Timeout: rejoinTimeout}}
	defer r.members.Close()
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-t.C:
			r.look(m.ctx)
		}
	}
}

// look asks the other members, when this one leads, whether they wish to be
// replaced, and replaces them.
func (r *replacer) look(ctx context.Context) {
	s := r.m.etcd.Server
	if s.Leader() != s.MemberID() {
		return
	}
	for name, addr := range r.m.cfg.Members {
		if name == r.m.cfg.Self {
			continue
		}
		wish, err := r.ask(ctx, addr)
		if err != nil || wish.Cluster != r.m.cfg.Cluster || wish.Member != name {
			continue
		}
		if err := r.replace(ctx, name, addr, wish.Word); err != nil {
			r.m.cfg.Log.Warn("an arbiter member that lost its data is not replaced yet", "lost", name, "err", err)
			continue
		}
		r.m.cfg.Log.Warn("an arbiter member that lost its data was replaced", "lost", name)
	}
}

var errNoWish = errors.New("it does not wish to be replaced")

func (r *replacer) ask(ctx context.Context, addr string) (wish rejoinWish, err error) {
	u := peerURL(addr)
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String()+rejoinPath, nil)
	if err != nil {
		return wish, err
	}
	a, err := r.client.Do(q)
	if err != nil {
		return wish, err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(io.LimitReader(a.Body, maxRejoinBytes))
	if err != nil {
		return wish, err
	}
	if a.StatusCode != http.StatusOK {
		return wish, errNoWish
	}
	return wish, json.Unmarshal(b, &wish)
}

// replace removes a member, adds it anew and tells it so. Each step may have
// been done by an earlier try.
func (r *replacer) replace(ctx context.Context, name, addr, word string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*rejoinTimeout)
	defer cancel()
	u := peerURL(addr)
	for _, p := range r.m.etcd.Server.Cluster().Members() {
		if p.Name == name || len(p.PeerURLs) == 1 && p.PeerURLs[0] == u.String() {
			if _, err := r.members.MemberRemove(ctx, uint64(p.ID)); err != nil {
				return fmt.Errorf("removing it: %w", err)
			}
		}
	}
	if _, err := r.members.MemberAdd(ctx, []string{u.String()}); err != nil {
		return fmt.Errorf("adding it: %w", err)
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String()+rejoinPath, strings.NewReader(word))
	if err != nil {
		return err
	}
	a, err := r.client.Do(q)
	if err != nil {
		return fmt.Errorf("telling it: %w", err)
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return fmt.Errorf("telling it: %s", a.Status)
	}
	return nil
}
