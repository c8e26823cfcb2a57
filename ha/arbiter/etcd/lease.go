package etcd

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// clockRatio is how much faster one machine's clock may run than another's.
const clockRatio = 1.1

// Hold implements arbiter.Store. See the package comment for why it does not
// renew etcd's lease but takes a new one.
func (s *Store) Hold(ctx context.Context) (time.Time, error) {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer end()
	give, ok := take(ctx, s.leaseTurn)
	if !ok {
		return time.Time{}, s.failed(ctx, "wait for the lease", context.Cause(ctx))
	}
	defer give()
	var until time.Time
	err = s.retry(ctx, "hold the lease", func(ctx context.Context) error {
		sent := time.Now()
		grant, err := s.client.Grant(ctx, int64(s.ttl/time.Second))
		if err != nil {
			return err
		}
		// etcd may give more than was asked for, never less.
		until = sent.Add(time.Duration(float64(s.ttl) / clockRatio))
		return s.writeAlive(ctx, clientv3.OpPut(s.keys.alive(s.node), s.instance, clientv3.WithLease(grant.ID)))
	})
	if err != nil {
		return time.Time{}, err
	}
	return until, nil
}

// Drop implements arbiter.Store.
func (s *Store) Drop(ctx context.Context) error {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	give, ok := take(ctx, s.leaseTurn)
	if !ok {
		return s.failed(ctx, "wait for the lease", context.Cause(ctx))
	}
	defer give()
	return s.retry(ctx, "drop the lease", func(ctx context.Context) error {
		return s.writeAlive(ctx, clientv3.OpDelete(s.keys.alive(s.node)))
	})
}

// writeAlive does op, which changes the alive key, while the ticket is ours.
func (s *Store) writeAlive(ctx context.Context, op clientv3.Op) error {
	ticket := s.keys.ticket(s.node)
	for {
		rev, err := s.currentTicket(ctx)
		if err != nil {
			return err
		}
		resp, err := s.client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(ticket), "=", rev)).
			Then(op).Else(clientv3.OpGet(ticket)).Commit()
		if err != nil {
			return err
		}
		if resp.Succeeded {
			return nil
		}
		if err := s.checkTicket(first(resp.Responses[0].GetResponseRange().Kvs)); err != nil {
			return err
		}
	}
}
