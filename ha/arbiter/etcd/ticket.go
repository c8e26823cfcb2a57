package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tandem-san/tandem/ha/arbiter"
)

// Settle implements arbiter.Store. It also ends the doubt about what earlier
// processes of this controller sent, and supersedes them.
func (s *Store) Settle(ctx context.Context) (arbiter.State, error) {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return arbiter.State{}, err
	}
	defer end()
	if err := s.renewTicket(ctx); err != nil {
		return arbiter.State{}, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return arbiter.State{}, err
	}
	return v.State, nil
}

// currentTicket returns the revision that writes compare with, taking the
// ticket if this Store has not yet.
func (s *Store) currentTicket(ctx context.Context) (int64, error) {
	rev, err := s.knownTicket()
	if err != nil || rev != 0 {
		return rev, err
	}
	give, ok := take(ctx, s.ticketTurn)
	if !ok {
		return 0, s.failed(ctx, "wait for the ticket", context.Cause(ctx))
	}
	defer give()
	if rev, err := s.knownTicket(); err != nil || rev != 0 {
		return rev, err
	}
	return s.writeTicket(ctx)
}

// renewTicket makes every write fail that was sent before the call.
func (s *Store) renewTicket(ctx context.Context) error {
	give, ok := take(ctx, s.ticketTurn)
	if !ok {
		return s.failed(ctx, "wait for the ticket", context.Cause(ctx))
	}
	defer give()
	_, err := s.writeTicket(ctx)
	return err
}

// writeTicket puts the ticket once more and returns its revision, which no
// write carries that was sent before. ticketTurn is held.
//
// Each attempt compares the revision it saw, so of attempts whose answers are
// lost at most one is applied for each revision seen. When the ticket turns
// out to be this Store's, such an attempt was applied: its revision is as
// good, unless a write has learned it meanwhile and carries it.
func (s *Store) writeTicket(ctx context.Context) (int64, error) {
	before, err := s.knownTicket()
	if err != nil {
		return 0, err
	}
	if before == 0 {
		return s.firstTicket(ctx)
	}
	key := s.keys.ticket(s.node)
	ours := clientv3.OpPut(key, s.thisProcess().encode())
	at := before
	err = s.retry(ctx, "take the ticket", func(ctx context.Context) error {
		for {
			resp, err := s.client.Txn(ctx).
				If(clientv3.Compare(clientv3.ModRevision(key), "=", at)).
				Then(ours).Else(clientv3.OpGet(key)).Commit()
			if err != nil {
				return err
			}
			if resp.Succeeded {
				s.setTicket(resp.Header.Revision)
				return nil
			}
			t := first(resp.Responses[0].GetResponseRange().Kvs)
			if !t.isOurs(s) {
				return s.supersede(t)
			}
			if s.setTicket(t.rev) {
				return nil
			}
			at = t.rev
		}
	})
	if err != nil {
		return 0, err
	}
	return s.knownTicket()
}

// firstTicket takes the ticket from the process before, which must be dead or
// silent: its presence must have lapsed. The presence of this one is put in
// the same transaction.
func (s *Store) firstTicket(ctx context.Context) (int64, error) {
	key, presence := s.keys.ticket(s.node), s.keys.presence(s.node)
	ours := s.thisProcess().encode()
	var lease clientv3.LeaseID
	err := s.retry(ctx, "take the ticket", func(ctx context.Context) error {
		grant, err := s.client.Grant(ctx, int64(presenceTTL/time.Second))
		if err != nil {
			return err
		}
		lease = grant.ID
		var at, gone int64
		for {
			resp, err := s.client.Txn(ctx).If(
				clientv3.Compare(clientv3.ModRevision(key), "=", at),
				clientv3.Compare(clientv3.ModRevision(presence), "=", gone),
			).Then(clientv3.OpPut(key, ours), clientv3.OpPut(presence, ours, clientv3.WithLease(lease))).
				Else(clientv3.OpGet(key), clientv3.OpGet(presence)).Commit()
			if err != nil {
				return err
			}
			if resp.Succeeded {
				s.setTicket(resp.Header.Revision)
				return nil
			}
			at = first(resp.Responses[0].GetResponseRange().Kvs).rev
			if gone, err = s.checkPresence(first(resp.Responses[1].GetResponseRange().Kvs)); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return 0, err
	}
	s.work.Go(func() { s.keepPresence(lease) })
	return s.knownTicket()
}

// first decodes the only key of a range; rev is 0 when there is none.
func first(kvs []*mvccpb.KeyValue) seen {
	if len(kvs) == 0 {
		return seen{}
	}
	t := seen{rev: kvs[0].ModRevision}
	if len(kvs[0].Value) <= maxValueBytes {
		// What names no process is at least not ours.
		_ = json.Unmarshal(kvs[0].Value, &t.who)
	}
	return t
}

func (t seen) isOurs(s *Store) bool { return t.rev != 0 && t.who.Instance == s.instance }

// checkTicket learns from the ticket that a write found in place of its own:
// nil when this Store itself has renewed it, else an error for good.
func (s *Store) checkTicket(t seen) error {
	if t.isOurs(s) {
		s.setTicket(t.rev)
		return nil
	}
	return s.supersede(t)
}

func (s *Store) knownTicket() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ticket, s.superseded
}

// setTicket notes a revision and reports whether it was news.
func (s *Store) setTicket(rev int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rev <= s.ticket {
		return false
	}
	s.ticket = rev
	return true
}

// supersede ends this Store's right to write.
func (s *Store) supersede(t seen) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.superseded != nil:
	case t.rev == 0:
		s.superseded = fmt.Errorf("arbiter: node id %d: %w: the ticket was removed from etcd", s.node, ErrSuperseded)
	default:
		s.superseded = fmt.Errorf("arbiter: node id %d: %w: process %d on host %q", s.node, ErrSuperseded, t.who.PID, t.who.Host)
		s.log.Error("another process has this node id", "node", s.node, "host", t.who.Host, "pid", t.who.PID)
	}
	return s.superseded
}
