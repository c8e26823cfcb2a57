package etcd

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tandem-san/tandem/ha/arbiter"
)

// DecodeGrant is decodeGrant, for the fuzzer.
var DecodeGrant = decodeGrant

// EncodeGrant is encodeGrant.
var EncodeGrant = encodeGrant

// HoldBack does all of Change but to send its transaction: calling the result
// does that and reports whether it was applied.
func (s *Store) HoldBack(ctx context.Context, changes []arbiter.Change) (func(context.Context) (bool, error), error) {
	ticket, err := s.currentTicket(ctx)
	if err != nil {
		return nil, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]int, len(changes))
	for i := range all {
		all[i] = i
	}
	ifs, puts := s.transaction(ticket, v, changes, all)
	return func(ctx context.Context) (bool, error) {
		resp, err := s.client.Txn(ctx).If(ifs...).Then(puts...).Commit()
		if err != nil {
			return false, err
		}
		return resp.Succeeded, nil
	}, nil
}

// Client is the Store's client, to make things behind its back.
func (s *Store) Client() *clientv3.Client { return s.client }

// LosePresence lets the presence of the Store's process go, as when it has been
// cut off for longer than that lasts.
func (s *Store) LosePresence(ctx context.Context) error {
	_, err := s.client.Delete(ctx, s.keys.presence(s.node))
	return err
}

// PlantPresence makes it seem that another process speaks for the controller and
// falls silent now. The machine is this one when "".
func (s *Store) PlantPresence(ctx context.Context, machine string, pid int) error {
	p := s.thisProcess()
	p.Instance, p.PID = "another", pid
	if machine != "" {
		p.Machine = machine
	}
	grant, err := s.client.Grant(ctx, int64(presenceTTL/time.Second))
	if err != nil {
		return err
	}
	_, err = s.client.Put(ctx, s.keys.presence(s.node), p.encode(), clientv3.WithLease(grant.ID))
	return err
}
