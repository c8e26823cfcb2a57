package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter"
)

// How many changes go into one transaction.
const (
	// embeddedChunk leaves room below maxTxnOps and maxRequestBytes.
	embeddedChunk = 1024
	// externalChunk leaves room below etcd's default of 128 operations.
	externalChunk = 100
)

// Pace of calls to etcd.
const (
	// attemptTimeout bounds one request; within the caller's context it is
	// then tried again, at another endpoint if there is one.
	attemptTimeout = time.Second
	// minPause and maxPause bound the wait between attempts; it doubles.
	minPause = 20 * time.Millisecond
	maxPause = 320 * time.Millisecond
)

// Bounds of the lease's time to live. It is counted in whole seconds.
const (
	DefaultTTL = 2 * time.Second
	MinTTL     = time.Second
	MaxTTL     = time.Minute
)

// ErrSuperseded: a later process speaks for this controller. Nothing this
// Store asks for can be applied any more, whatever was under way.
var ErrSuperseded = errors.New("another process speaks for this controller")

// errClosed: the Store was used after its end.
var errClosed = errors.New("the arbiter store or its member is closed")

// Store is an arbiter.Store in etcd.
type Store struct {
	client *clientv3.Client
	keys   keys
	node   ha.NodeID
	ttl    time.Duration
	chunk  int
	kind   Kind
	log    *slog.Logger
	// instance tells this Store from others of the same controller.
	instance string

	// ctx ends with Close or the member; work counts what must end before Close returns.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	// turn is held while the ticket or the lease is being written.
	ticketTurn, leaseTurn chan struct{}

	mu sync.Mutex
	// ticket is the revision of the ticket that writes compare with; 0 when
	// none has been taken yet.
	ticket     int64
	superseded error
}

var _ arbiter.Store = (*Store)(nil)

// storeConfig is what a Store is made of.
type storeConfig struct {
	client  *clientv3.Client
	cluster string
	node    ha.NodeID
	ttl     time.Duration
	chunk   int
	kind    Kind
	log     *slog.Logger
}

// newStore takes over the client, also when it fails. The calls end with life.
func newStore(life context.Context, c storeConfig) (*Store, error) {
	if c.ttl == 0 {
		c.ttl = DefaultTTL
	}
	err := checkCluster(c.cluster)
	if err == nil {
		err = checkNode(c.node)
	}
	if err == nil && (c.ttl < MinTTL || c.ttl > MaxTTL || c.ttl%time.Second != 0) {
		err = fmt.Errorf("arbiter lease of %v: want whole seconds, %v to %v", c.ttl, MinTTL, MaxTTL)
	}
	if err != nil {
		c.client.Close()
		return nil, err
	}
	s := &Store{
		client: c.client, keys: newKeys(c.cluster), node: c.node, ttl: c.ttl, chunk: c.chunk, kind: c.kind,
		log: c.log, instance: rand.Text(),
		ticketTurn: make(chan struct{}, 1), leaseTurn: make(chan struct{}, 1),
	}
	s.ctx, s.cancel = context.WithCancel(life)
	return s, nil
}

// Close ends the Store; calls under way fail and channels of Watch close.
func (s *Store) Close() error {
	s.cancel()
	s.work.Wait()
	// A client of this process always says that it was cancelled.
	if err := s.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("arbiter: closing the client: %w", err)
	}
	return nil
}

// Read implements arbiter.Store.
func (s *Store) Read(ctx context.Context) (arbiter.State, error) {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return arbiter.State{}, err
	}
	defer end()
	v, err := s.read(ctx)
	if err != nil {
		return arbiter.State{}, err
	}
	return v.State, nil
}

// begin ties a call to the Store's life.
func (s *Store) begin(ctx context.Context) (context.Context, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, nil, errClosed
	}
	s.work.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(s.ctx, func() { cancel(errClosed) })
	return ctx, func() { unhook(); cancel(nil); s.work.Done() }, nil
}

// view is a State and, for each grant, the revision that wrote it.
type view struct {
	arbiter.State
	written map[string]int64
}

// read reads all grants and lease holders in one linearizable transaction.
func (s *Store) read(ctx context.Context) (view, error) {
	var resp *clientv3.TxnResponse
	err := s.retry(ctx, "read the grants", func(ctx context.Context) (err error) {
		resp, err = s.client.Txn(ctx).Then(
			clientv3.OpGet(s.keys.grants(), clientv3.WithPrefix(), clientv3.WithLimit(MaxLUNs)),
			clientv3.OpGet(s.keys.alives(), clientv3.WithPrefix(), clientv3.WithLimit(ha.MaxNodes+1)),
			clientv3.OpGet(s.keys.floors(), clientv3.WithPrefix(), clientv3.WithLimit(MaxLUNs)),
		).Commit()
		return err
	})
	if err != nil {
		return view{}, err
	}
	grants, alives := resp.Responses[0].GetResponseRange(), resp.Responses[1].GetResponseRange()
	if grants.More {
		return view{}, fmt.Errorf("the arbiter holds %d grants, at most %d are accepted", grants.Count, MaxLUNs)
	}
	v, err := s.view(resp.Header.Revision, grants.Kvs, alives.Kvs)
	if err != nil {
		return view{}, err
	}
	v.Floors, err = s.floors(resp.Responses[2].GetResponseRange().Kvs)
	return v, err
}

// view decodes what read found.
func (s *Store) view(rev int64, grants, alives []*mvccpb.KeyValue) (view, error) {
	v := view{
		State: arbiter.State{
			Revision: rev,
			Grants:   make(map[string]ha.Grant, len(grants)),
			Holders:  make(map[ha.NodeID]bool, len(alives)),
		},
		written: make(map[string]int64, len(grants)),
	}
	for _, kv := range grants {
		lun, err := s.keys.lun(string(kv.Key))
		if err != nil {
			return view{}, fmt.Errorf("arbiter: %w", err)
		}
		g, err := decodeGrant(kv.Value)
		if err != nil {
			return view{}, fmt.Errorf("arbiter: logical unit %q: %w", lun, err)
		}
		v.Grants[lun] = g
		v.written[lun] = kv.ModRevision
	}
	for _, kv := range alives {
		n, err := s.keys.holder(string(kv.Key))
		if err != nil {
			return view{}, fmt.Errorf("arbiter: %w", err)
		}
		v.Holders[n] = true
	}
	return v, nil
}

// retry calls do until it succeeds, its error will not pass, or ctx ends. An
// error of do means that nothing is known: do must be safe to repeat.
func (s *Store) retry(ctx context.Context, what string, do func(context.Context) error) error {
	for p := (pause{}); ; {
		actx, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := do(actx)
		cancel()
		if err == nil {
			return nil
		}
		if final(err) || !p.wait(ctx) {
			return s.failed(ctx, what, err)
		}
	}
}

// failed words the failure of a call, with the reason why ctx ended.
func (s *Store) failed(ctx context.Context, what string, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (last: %w)", cause, err)
	}
	return fmt.Errorf("arbiter: %s: %w", what, err)
}

// final reports whether trying again is useless.
func final(err error) bool {
	if errors.Is(err, ErrSuperseded) || errors.Is(err, rpctypes.ErrNoSpace) || errors.Is(err, rpctypes.ErrRequestTooLarge) ||
		errors.Is(err, rpctypes.ErrTooManyOps) {
		return true
	}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return true
	}
	// In this process errors come as etcd's own, without a code.
	return strings.Contains(err.Error(), "database space exceeded")
}

// pause is the wait between attempts.
type pause struct{ d time.Duration }

// wait waits and reports whether ctx still runs.
func (p *pause) wait(ctx context.Context) bool {
	p.d = min(max(2*p.d, minPause), maxPause)
	t := time.NewTimer(p.d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// take waits for a turn; ok is false when ctx ended first.
func take(ctx context.Context, turn chan struct{}) (give func(), ok bool) {
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, true
	case <-ctx.Done():
		return nil, false
	}
}
