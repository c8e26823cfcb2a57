package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tandem-san/tandem/ha/arbiter"
)

// ticketValue says which process speaks for a controller.
type ticketValue struct {
	Instance string `json:"instance"`
	// Host and PID are for people.
	Host string `json:"host"`
	PID  int    `json:"pid"`
}

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
	key, value := s.keys.ticket(s.node), s.ticketValue()
	seen := before
	err = s.retry(ctx, "take the ticket", func(ctx context.Context) error {
		for {
			resp, err := s.client.Txn(ctx).
				If(clientv3.Compare(clientv3.ModRevision(key), "=", seen)).
				Then(clientv3.OpPut(key, value)).
				Else(clientv3.OpGet(key)).Commit()
			if err != nil {
				return err
			}
			if resp.Succeeded {
				s.setTicket(resp.Header.Revision)
				return nil
			}
			kv := first(resp.Responses[0].GetResponseRange().Kvs)
			if kv.isOurs(s) {
				if s.setTicket(kv.rev) {
					return nil
				}
			} else if before != 0 {
				return s.supersede(kv)
			}
			seen = kv.rev
		}
	})
	if err != nil {
		return 0, err
	}
	return s.knownTicket()
}

// ticketSeen is the ticket as a failed compare found it.
type ticketSeen struct {
	rev   int64
	value ticketValue
}

// first decodes the only key of a range; rev is 0 when there is none.
func first(kvs []*mvccpb.KeyValue) ticketSeen {
	if len(kvs) == 0 {
		return ticketSeen{}
	}
	t := ticketSeen{rev: kvs[0].ModRevision}
	if len(kvs[0].Value) <= maxValueBytes {
		// What is not a ticket is at least not ours.
		_ = json.Unmarshal(kvs[0].Value, &t.value)
	}
	return t
}

func (t ticketSeen) isOurs(s *Store) bool { return t.rev != 0 && t.value.Instance == s.instance }

// checkTicket learns from the ticket that a write found in place of its own:
// nil when this Store itself has renewed it, else an error for good.
func (s *Store) checkTicket(t ticketSeen) error {
	if t.isOurs(s) {
		s.setTicket(t.rev)
		return nil
	}
	return s.supersede(t)
}

func (s *Store) ticketValue() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	b, err := json.Marshal(ticketValue{Instance: s.instance, Host: host, PID: os.Getpid()})
	if err != nil {
		panic(fmt.Sprintf("a ticket is always valid JSON: %v", err))
	}
	return string(b)
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
func (s *Store) supersede(t ticketSeen) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.superseded != nil:
	case t.rev == 0:
		s.superseded = fmt.Errorf("arbiter: node id %d: %w: the ticket was removed from etcd", s.node, ErrSuperseded)
	default:
		s.superseded = fmt.Errorf("arbiter: node id %d: %w: process %d on host %q", s.node, ErrSuperseded, t.value.PID, t.value.Host)
		s.log.Error("another process has this node id", "node", s.node, "host", t.value.Host, "pid", t.value.PID)
	}
	return s.superseded
}
