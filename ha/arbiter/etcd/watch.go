package etcd

import (
	"context"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tandem-san/tandem/ha/arbiter"
)

// Watch implements arbiter.Store. After each change it reads again, so that
// what it sends is whole; a receiver that is slow gets the latest State only.
func (s *Store) Watch(ctx context.Context) <-chan arbiter.State {
	out := make(chan arbiter.State)
	ctx, end, err := s.begin(ctx)
	if err != nil {
		close(out)
		return out
	}
	go func() {
		defer end()
		defer close(out)
		w := watcher{s: s, out: out}
		for p := (pause{}); ctx.Err() == nil; {
			if w.follow(ctx) {
				p = pause{}
			} else {
				p.wait(ctx)
			}
		}
	}()
	return out
}

// watcher sends states to one receiver.
type watcher struct {
	s   *Store
	out chan<- arbiter.State
	// sent is the revision of the last State sent.
	sent int64
}

// follow reads, and watches from there until the watch breaks: etcd has
// compacted what was to be seen, or the connection ended. It reports whether
// it got as far as reading.
func (w *watcher) follow(ctx context.Context) bool {
	st, err := w.s.read(ctx)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := w.s.client.Watch(clientv3.WithRequireLeader(ctx), w.s.keys.prefix, clientv3.WithPrefix(), clientv3.WithRev(st.Revision+1))
	for {
		var out chan<- arbiter.State
		if st.Revision > w.sent {
			out = w.out
		}
		select {
		case <-ctx.Done():
			return true
		case out <- st.State:
			w.sent = st.Revision
		case r, ok := <-events:
			if !ok || r.Err() != nil {
				return true
			}
			if !w.concerns(r) || r.Header.Revision <= st.Revision {
				continue
			}
			if st, err = w.s.read(ctx); err != nil {
				return true
			}
		}
	}
}

// concerns reports whether grants or leases changed, not only tickets.
func (w *watcher) concerns(r clientv3.WatchResponse) bool {
	for _, e := range r.Events {
		key := string(e.Kv.Key)
		if strings.HasPrefix(key, w.s.keys.grants()) {
			return true
		}
		// An alive key that is only renewed is no news.
		if strings.HasPrefix(key, w.s.keys.alives()) && (!e.IsModify()) {
			return true
		}
	}
	return false
}
